"""A budget of accuracy, end to end: a network of which one layer does not bear 8 bits."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tinyint
from tests.diagnosis.test_sensitivity import net
from tinyint.api import budget_work
from tinyint.errors import DataError
from tinyint.graph.io import load_model, save_model
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime

CALIBRATION, HELD_OUT = 8, 40
Data = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def data() -> Data:
    """Images with the float network's classes as labels."""
    random = np.random.default_rng(2)
    x = random.normal(size=(CALIBRATION + HELD_OUT, 4, 8, 8)).astype(np.float32)
    session = get_runtime("onnxruntime").open(planted())
    labels = [int(session.run({"x": image[None]})["y"].argmax()) for image in x]
    return {"x": x, "labels": np.array(labels)}


def planted() -> Any:
    return net(w5=400.0)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_model(planted(), tmp_path / "float.onnx")
    return tmp_path / "float.onnx"


@pytest.fixture
def val(tmp_path: Path, data: Data) -> Path:
    np.savez(tmp_path / "val.npz", **data)
    return tmp_path / "val.npz"


def within(model: Path, val: Path, **budget: Any) -> tinyint.api.WithinBudget:
    return tinyint.quantize_within(
        model,
        tinyint.Samples(str(val), limit=CALIBRATION),
        output=model.with_name("out.onnx"),
        budget=tinyint.Budget(**budget),
        recipe=Recipe.parse({"weights": {"granularity": "per_tensor"}}),
        run=tinyint.Run(threads=1),
    )


def mean_of_highest(outputs: list[dict[str, NDArray[Any]]], samples: list[Any]) -> float:
    assert {len(outputs), len(samples)} <= {1, HELD_OUT}
    return float(np.mean([output["y"].max() for output in outputs]))


def not_a_number(outputs: object, samples: object) -> float:
    return math.nan


def test_the_layer_that_does_not_bear_it_stays_in_float(model: Path, val: Path) -> None:
    found = within(model, val, max_drop=5.0)
    assert (found.met, found.finished, found.metric, found.reference) == (True, True, "top1", 100.0)
    assert found.value >= 95.0
    assert "fc" in found.in_float
    assert len(found.in_float) < 4
    assert "budget met: top1" in found.report.notes[0]
    written = json.loads(model.with_name("out.report.json").read_text())
    assert written == found.report.to_json()
    rules = Recipe.parse(__import__("yaml").safe_load(found.report.recipe_yaml)).rules
    assert [rule.name for rule in rules] == sorted(found.in_float)
    nodes = {node.name: node for node in load_model(model.with_name("out.onnx")).graph}
    assert all(
        value.producer().op_type != "DequantizeLinear" for value in nodes["fc"].inputs if value.producer()
    )


def test_all_stays_in_int8_where_that_is_good_enough(model: Path, val: Path) -> None:
    found = within(model, val, max_drop=100.0)
    assert (found.met, found.in_float, found.trials) == (True, (), 1)


def test_a_kill_loses_nothing(model: Path, val: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantize, calls = budget_work.quantize, [0]

    def killed(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:  # after the model with all in int8
            raise KeyboardInterrupt
        return quantize(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(budget_work, "quantize", killed)
        with pytest.raises(KeyboardInterrupt) as error:
            within(model, val, max_drop=5.0)
    assert "the best model so far is at" in error.value.__notes__[0]
    load_model(model.with_name("out.onnx"))
    assert model.with_name("out.calibration.npz").exists()
    trials = json.loads(model.with_name("out.budget.json").read_text())["trials"]
    assert [trial["in_float"] for trial in trials] == [[]]
    monkeypatch.setattr(budget_work.Work, "candidates", None)  # they are known
    found = within(model, val, max_drop=5.0)
    assert found.met
    assert found.trials == 2


def test_a_goal_out_of_reach_keeps_the_nearest(model: Path, val: Path) -> None:
    found = within(model, val, max_drop=200.0, metric="sqnr")
    assert not found.met
    assert found.finished
    assert found.value > 10.0
    assert "budget not met: sqnr" in found.report.notes[0]
    load_model(model.with_name("out.onnx"))


def test_a_function_of_the_users(model: Path, val: Path) -> None:
    found = within(model, val, max_drop=0.5, metric="tests.api.test_budget:mean_of_highest")
    assert found.met
    assert found.reference - found.value <= 0.5


@pytest.mark.parametrize(
    ("budget", "message", "kept"),
    [
        (
            {"max_drop": 1.0, "metric": "top2"},
            "no metric 'top2' for classification: did you mean 'top5' or 'top1'",
            False,
        ),
        ({"max_drop": 1.0, "metric": "miou"}, "no metric 'miou' for classification", False),
        ({"max_drop": 1.0, "metric": "tests.api.test_budget:nothing"}, "has no 'nothing'", False),
        ({"max_drop": 1.0, "metric": "tests.api.test_budget:not_a_number"}, "is NaN on 40 held-out", True),
        ({"max_drop": 1.0, "seconds": 0.01}, "0.01 s is too short for one trial", True),
        ({"max_drop": 1.0, "task": "detection"}, "which anchors and strides its heads have", False),
    ],
)
def test_bad_input_is_told_in_one_message(
    model: Path, val: Path, budget: dict[str, Any], message: str, kept: bool
) -> None:
    with pytest.raises(tinyint.TinyintError, match=message):
        within(model, val, **budget)
    assert model.with_name("out.onnx").exists() == kept


def test_data_that_do_not_do(model: Path, tmp_path: Path, data: Data) -> None:
    np.savez(tmp_path / "few.npz", **{name: array[:CALIBRATION] for name, array in data.items()})
    with pytest.raises(DataError, match="no samples are left to judge models on: calibration has used 8"):
        within(model, tmp_path / "few.npz", max_drop=1.0)
    np.savez(tmp_path / "plain.npz", x=data["x"])
    with pytest.raises(DataError, match="the task's metric needs labelled data"):
        within(model, tmp_path / "plain.npz", max_drop=1.0)
    np.savez(tmp_path / "wrong.npz", x=data["x"], labels=data["labels"] + 30)
    with pytest.raises(DataError, match="the model has the classes 0 to 9"):
        within(model, tmp_path / "wrong.npz", max_drop=1.0)


@pytest.mark.parametrize(
    "wrong", [{"max_drop": -0.1}, {"max_drop": math.nan}, {"max_drop": 1.0, "seconds": 0.0}]
)
def test_a_budget_is_a_number(wrong: dict[str, float]) -> None:
    with pytest.raises(DataError, match="expected"):
        tinyint.Budget(**wrong)


@pytest.mark.parametrize("recipe", ["dynamic", "weight_only"])
def test_only_static_recipes_have_units(model: Path, val: Path, recipe: str) -> None:
    with pytest.raises(DataError, match="only static recipes"):
        tinyint.quantize_within(
            model,
            str(val),
            output=model.with_name("o.onnx"),
            budget=tinyint.Budget(max_drop=1.0),
            recipe=recipe,
        )


def test_places_are_checked_before_the_work(model: Path, val: Path) -> None:
    journal = model.with_name("out.budget.json")
    journal.mkdir()
    with pytest.raises(tinyint.OutputError, match=r"out\.budget\.json"):
        within(model, val, max_drop=1.0)
    journal.rmdir()
    with pytest.raises(tinyint.OutputError, match=r"float\.onnx"):
        tinyint.quantize_within(model, str(val), output=model, budget=tinyint.Budget(max_drop=1.0))
    assert {path.name for path in model.parent.iterdir()} == {"float.onnx", "val.npz"}
