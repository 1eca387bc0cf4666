"""Drafts that end the process in which they are judged."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event

from tests.fuzz.models import Draft
from tests.fuzz.oracle import Verdict
from tests.fuzz.run import ABORTED, DAMAGED, ENDLESS, FLOAT_ABORTS, Judge


def _by_frame(draft: Draft, way: tuple[str, str], folder: Path) -> Verdict:
    """1: ends the process; 2: damages its memory, which ends it at 3; 4: never ends."""
    damage = folder / "damage"
    if draft.frame == 4:
        Event().wait()
    if draft.frame == 1 or (draft.frame == 3 and damage.exists()):
        os.abort()
    if draft.frame == 2:
        damage.touch()
    return Verdict(f"done {draft.frame}")


def _float_by_frame(draft: Draft, way: tuple[str, str]) -> None:
    if draft.steps:
        os.abort()


def test_who_ended_the_process_is_told_and_the_next_draft_has_another() -> None:
    way, at_float = ("static", "openvino"), (1,)
    with Judge(_by_frame, _float_by_frame) as judge_apart:
        assert judge_apart(Draft(1, ()), way) == ABORTED  # the first of its process
        assert judge_apart(Draft(3, ()), way) == Verdict("done 3")
        assert judge_apart(Draft(1, ()), way) == ABORTED
        assert judge_apart(Draft(1, at_float), way) == FLOAT_ABORTS
        assert judge_apart(Draft(2, ()), way) == Verdict("done 2")
        assert judge_apart(Draft(3, ()), way) == DAMAGED
        assert judge_apart(Draft(3, ()), way) == Verdict("done 3")


def test_a_draft_without_an_end_is_a_fault_and_the_next_has_another_process() -> None:
    way = ("static", "openvino")
    with Judge(_by_frame, _float_by_frame, seconds=60) as judge_apart:
        assert judge_apart(Draft(3, ()), way) == Verdict("done 3")
        judge_apart._seconds = 1
        assert judge_apart(Draft(4, ()), way) == ENDLESS
        judge_apart._seconds = 60
        assert judge_apart(Draft(3, ()), way) == Verdict("done 3")
