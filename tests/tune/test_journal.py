"""Trials on disk: kept for the same search, dropped for another."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tinyint.errors import OutputError
from tinyint.tune.journal import Journal, Trial
from tinyint.tune.search import Candidate

KEY = {"model": "m", "metric": "top1"}


def test_trials_come_back(tmp_path: Path) -> None:
    place = tmp_path / "net.budget.json"
    journal = Journal.open(place, KEY)
    candidate = Candidate(name="a", noise=0.5, cost=-0.25)
    journal.start([candidate])
    journal.add(Trial(in_float=frozenset("ba"), value=91.5))
    journal.add(Trial(in_float=frozenset(), value=math.nan))
    again = Journal.open(place, KEY)
    assert again.candidates == (candidate,)
    assert again.value(frozenset("ab")) == 91.5
    assert math.isnan(again.value(frozenset()) or 0.0)
    assert again.value(frozenset("a")) is None


def test_trials_of_another_search_are_dropped(tmp_path: Path) -> None:
    place = tmp_path / "net.budget.json"
    Journal.open(place, KEY).start([Candidate(name="a", noise=1.0, cost=1.0)])
    other = Journal.open(place, {**KEY, "metric": "f1"})
    assert (other.candidates, other.trials) == ((), [])


@pytest.mark.parametrize("text", ["{}", "[1]", "no JSON"])
def test_a_file_of_the_users_is_refused(tmp_path: Path, text: str) -> None:
    place = tmp_path / "net.budget.json"
    place.write_text(text)
    with pytest.raises(OutputError, match="no journal"):
        Journal.open(place, KEY)
    assert place.read_text() == text
