"""`quantize` with a race, end to end: what it tells, writes and remembers, and where it is refused."""

from __future__ import annotations

import json
import re

import pytest
import yaml

import tinyint
from tests.processor import OWN
from tinyint import api
from tinyint.api import racing
from tinyint.errors import DataError, ModelError, TargetError, TinyintError
from tinyint.proof.kept_races import Races
from tinyint.proof.placement_race import race_placements
from tinyint.proof.prove import tensor_rows

RUN = tinyint.Run(threads=1, verify=False, race=0.05)


@pytest.mark.parametrize("target", OWN)
def test_the_race_is_told_written_and_remembered(model, samples, tmp_path, target, monkeypatch):
    output = tmp_path / "out.onnx"
    given = {"output": output, "target": target, "run": RUN}
    race = tinyint.quantize(model, tinyint.Samples(samples, limit=8), **given).report.race
    assert race is not None
    assert race.candidates[0].name == "as planned"
    assert {"as planned", "weights' operators only"} <= {c.name for c in race.candidates}
    assert all(c.milliseconds > 0 and c.sqnr_db > 10 for c in race.candidates)
    assert race.winner.out is None
    assert (race.samples, race.held_out, race.threads, race.remembered) == (4, True, 1, False)
    document = json.loads((tmp_path / "out.report.json").read_text())["race"]
    assert document["chosen"] == race.chosen
    assert document["candidates"][0]["milliseconds"] == race.candidates[0].milliseconds
    assert "Race of placements" in (tmp_path / "out.report.html").read_text()
    assert Races().count == 1

    def unexpected(*_, **__):
        raise AssertionError("a race that is remembered was run again")

    monkeypatch.setattr(racing, "race_placements", unexpected)
    again = tinyint.quantize(model, tinyint.Samples(samples, limit=8), **given).report
    assert again.race is not None
    assert again.race.remembered
    assert again.race.chosen == race.chosen


def test_the_recipe_of_the_model_is_that_of_the_winner(model, samples, monkeypatch):
    """So that it can be made again without a race."""

    def rigged(entrants, *given, **options):
        race = race_placements(entrants, *given, **options)
        other = next(e for e in entrants if e.placement.name == "weights' operators only")
        fast = tuple(
            type(c)(**{**vars(c), "milliseconds": 1e-9}) if c.name == other.placement.name else c
            for c in race.candidates
        )
        given = {
            **vars(race),
            "candidates": fast,
            "chosen": other.placement.name,
            "rules": other.placement.rules,
        }
        return type(race)(**given)

    monkeypatch.setattr(racing, "race_placements", rigged)
    data = tinyint.Samples(samples, limit=8)
    target = next(iter(OWN))
    raced = tinyint.quantize(model, data, target=target, run=RUN)
    recipe = yaml.safe_load(raced.report.recipe_yaml)
    assert {"op_type": "Add", "float": True} in recipe["rules"]
    assert "add" in {node.name for node in raced.report.coverage.float_nodes}
    plain = tinyint.quantize(model, data, target=target, recipe=recipe, run=tinyint.Run(verify=False))
    assert tensor_rows(plain.model) == tensor_rows(raced.model)
    remembered = tinyint.quantize(model, data, target=target, run=RUN)
    assert tensor_rows(remembered.model) == tensor_rows(raced.model)


def test_a_float_file_that_the_runtime_does_not_take_is_raced_as_it_was_calibrated(
    model, samples, monkeypatch
):
    opened = []

    def told(model, *_):
        opened.append(model)
        raise ModelError("refused")

    monkeypatch.setattr(racing, "_run_once", told)
    result = tinyint.quantize(model, samples, run=RUN)
    assert opened == [model]
    assert result.report.race is not None


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"recipe": "weight_only"}, TinyintError, "--race (Run.race) has no effect: the method weight_only"),
        ({"data": None}, DataError, "--race compares placements on samples: give data"),
        (
            {"target": "tensorrt"},
            TargetError,
            "tensorrt is for an NVIDIA GPU with tensorrt, which is not here",
        ),
        (
            {"run": tinyint.Run(race=0.0)},
            TinyintError,
            "--race 0 (Run.race): expected a number of seconds above 0",
        ),
        ({"run": tinyint.Run(race=float("nan"))}, TinyintError, "expected a number of seconds above 0"),
    ],
)
def test_where_nothing_can_be_raced(model, samples, tmp_path, options, error, told):
    given = {"data": samples, "run": RUN, "output": tmp_path / "out.onnx", **options}
    with pytest.raises(error, match=re.escape(told)):
        tinyint.quantize(model, **given)
    assert [path.name for path in tmp_path.iterdir()] == ["float.onnx"]


def test_other_verbs_have_no_races(model, samples):
    with pytest.raises(TinyintError, match=re.escape("calibrate has no use for Run(race=1.0)")):
        api.calibrate(model, samples, run=tinyint.Run(race=1.0))
