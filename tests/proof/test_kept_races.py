"""Races that are remembered, by all that they depend on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.fake_runtime import FakeRuntime
from tests.models import residual
from tinyint.data import Sample
from tinyint.proof import kept_races
from tinyint.proof.kept_races import Races, race_key
from tinyint.proof.placement_race import Candidate, PlacementRace
from tinyint.quantization.ptq import Source
from tinyint.quantization.recipe import Recipe, Rule
from tinyint.runtimes.host import Host
from tinyint.targets import get_target

KEY = format(7, "064x")
RACE = PlacementRace(
    candidates=(
        Candidate(name="as planned", nodes_int8=3, milliseconds=2.0, sqnr_db=30.0),
        Candidate(name="by cost", nodes_int8=2, milliseconds=1.5, sqnr_db=31.0, top1_agreement=1.0),
        Candidate(name="other", out="worse"),
    ),
    chosen="by cost",
    rules=(Rule(op_type="Add", float=True), Rule(name="a", float=True)),
    float_milliseconds=4.0,
    samples=8,
    held_out=True,
    threads=2,
    seconds=1.5,
)
SAMPLE = Sample(inputs={"x": np.zeros((1, 3), np.float32)}, name="0")
SOURCE = Source(
    graph=residual(), fingerprint="f", target=get_target("generic"), recipe=Recipe(), known=None, record=None,
    samples=(), pixels=None, notes=(), seconds={},
)  # fmt: skip


def test_a_race_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = Races(directory=tmp_path)
    assert kept.load(KEY) is None
    kept.store(KEY, RACE)
    assert kept.load(KEY) == replace(RACE, remembered=True)


@pytest.mark.parametrize("key", ["chosen", "rules", "candidates", "float_milliseconds"])
@pytest.mark.parametrize("value", ["none", 5, [5], [{"new": 1}], None])
def test_a_damaged_one_is_none(tmp_path: Path, key: str, value: object) -> None:
    kept = Races(directory=tmp_path)
    kept.store(KEY, RACE)
    path = tmp_path / f"{KEY}.json"
    document = json.loads(path.read_text())
    if key == "float_milliseconds" and value == 5:
        return
    path.write_text(json.dumps({**document, key: value}))
    assert kept.load(KEY) is None


def test_whatever_a_race_depends_on_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, wide = FakeRuntime(), Sample(inputs={"x": np.zeros((2, 3), np.float32)}, name="0")
    keys = [
        race_key(SOURCE, fake, 1, SAMPLE),
        race_key(replace(SOURCE, fingerprint="g"), fake, 1, SAMPLE),
        race_key(replace(SOURCE, recipe=Recipe(steps=("equalize",))), fake, 1, SAMPLE),
        race_key(replace(SOURCE, target=get_target("arm64")), fake, 1, SAMPLE),
        race_key(SOURCE, FakeRuntime(name="other"), 1, SAMPLE),
        race_key(SOURCE, fake, 2, SAMPLE),
        race_key(SOURCE, fake, 1, wide),
    ]
    other = replace(SAMPLE, inputs={"x": np.ones((1, 3), np.float32)})
    assert race_key(SOURCE, fake, 1, other) == keys[0]
    machine = Host(machine="x86_64", model="another", cores=1, features=frozenset())
    monkeypatch.setattr(kept_races, "host", lambda: machine)
    keys.append(race_key(SOURCE, fake, 1, SAMPLE))
    assert len(set(keys)) == len(keys)
