"""The race itself: a clock by hand decides on speed, outputs by hand on accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from tests.fake_runtime import FakeRuntime, FakeSession
from tinyint.data import Sample
from tinyint.errors import ModelError
from tinyint.proof.placement_race import Candidate, Entrant, PlacementRace, _fastest, race_placements
from tinyint.quantization.placements import Placement
from tinyint.quantization.ptq import Quantized
from tinyint.quantization.recipe import Recipe, Rule
from tinyint.targets import get_target

SAMPLES = [Sample(inputs={"x": np.float32([[3.0, 2.0, i]])}, name=str(i)) for i in range(8)]


@dataclass
class Machine(FakeRuntime):
    """Runs a model, which is known by its name, in its time, and adds its noise to what comes in."""

    milliseconds: Mapping[str, float] = field(default_factory=dict)
    noises: Mapping[str, float] = field(default_factory=dict)
    now: float = 0.0

    def open(self, model: Any, **options: Any) -> FakeSession:
        name = "float" if model == "float" else model.graph.name
        if name not in self.milliseconds:
            raise ModelError(f"{name} is refused")

        def run(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            self.now += self.milliseconds[name] / 1e3
            return {"y": feeds["x"] + np.float32([[self.noises.get(name, 0.0), 0, 0]])}

        session = super().open(name, **options)
        session.run = session.run_transient = run  # type: ignore[method-assign, assignment]
        return session


def entrant(name: str) -> Entrant:
    value = ir.Value(name="y", type=ir.TensorType(ir.DataType.FLOAT))
    model = ir.Model(ir.Graph([], [value], nodes=[], name=name), ir_version=8)
    quantized = Quantized(
        model=model, prepared=model, target=get_target("generic"), recipe=Recipe(), constants={},
        planned_int8=("a", "b"), float_nodes={},
    )  # fmt: skip
    return Entrant(placement=Placement(name=name, rules=(Rule(name=name, float=True),)), quantized=quantized)


def race(
    noises: Mapping[str, float] | None = None, seconds: float = 1.0, **milliseconds: float
) -> PlacementRace:
    machine = Machine(milliseconds=milliseconds, noises={"plan": 0.1, "b": 0.1, "c": 0.1, **(noises or {})})
    return race_placements(
        [entrant(name) for name in ("plan", "b", "c")], "float", SAMPLES, runtime=machine, seconds=seconds, threads=1,
        held_out=True, clock=lambda: machine.now,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("b", "c", "chosen"),
    [(9.0, 8.0, "c"), (8.0, 9.0, "b"), (11.0, 12.0, "plan"), (9.81, 9.81, "plan"), (9.79, 9.81, "b")],
)
def test_the_fastest_wins_unless_the_plan_is_as_fast(b: float, c: float, chosen: str) -> None:
    found = race(float=20.0, plan=10.0, b=b, c=c)
    assert found.chosen == chosen
    assert found.rules == (Rule(name=chosen, float=True),)
    assert [each.milliseconds for each in found.candidates] == pytest.approx([10.0, b, c])
    assert found.float_milliseconds == pytest.approx(20.0)
    assert not found.beaten_by_float
    assert found.winner.nodes_int8 == 2
    assert (found.samples, found.held_out, found.threads) == (8, True, 1)


def test_one_that_is_less_accurate_is_out() -> None:
    """The plan: 244 / (8 · 0.1²), where 244 are the squares of all inputs."""
    found = race({"c": 0.12}, float=20.0, plan=10.0, b=9.0, c=5.0)  # 1.6 dB
    assert found.chosen == "b"
    assert found.candidates[2].out == "output 'y' is 33.3 dB from float, the plan's 34.8 dB"
    assert found.candidates[2].milliseconds == pytest.approx(5.0)
    assert race({"c": 0.11}, float=20.0, plan=10.0, b=9.0, c=5.0).chosen == "c"  # 0.8 dB


def test_one_that_sees_other_classes_is_out() -> None:
    """Without the noise, the first of three classes is the highest in samples 0 to 3; 4 to 7 have the third."""
    found = race({"plan": -1.2, "b": -1.2, "c": 1.2}, float=20.0, plan=10.0, b=9.0, c=5.0)
    assert found.candidates[0].top1_agreement == found.candidates[1].top1_agreement
    assert found.chosen == "c"
    turned = race({"plan": 1.2, "b": 1.2, "c": -1.2}, float=20.0, plan=10.0, b=9.0, c=5.0)
    assert turned.chosen == "b"
    assert "of the highest classes of output 'y' are as in float" in str(turned.candidates[2].out)


def test_one_that_the_runtime_refuses_is_out() -> None:
    found = race(float=20.0, plan=10.0, b=9.0)
    assert (found.chosen, found.candidates[2].out, found.candidates[2].milliseconds) == (
        "b",
        "c is refused",
        None,
    )


@pytest.mark.parametrize("missing", ["float", "plan"])
def test_float_and_the_plan_must_run(missing: str) -> None:
    times = {name: 1.0 for name in ("float", "plan", "b", "c") if name != missing}
    with pytest.raises(ModelError, match=f"{missing} is refused"):
        race(**times)


def test_float_may_be_faster_than_all() -> None:
    found = race(float=4.0, plan=10.0, b=9.0, c=8.0)
    assert found.chosen == "c"
    assert found.beaten_by_float


def test_the_time_is_kept_but_five_rounds_are_run() -> None:
    assert race(seconds=1.0, float=20.0, plan=10.0, b=10.0, c=10.0).seconds == pytest.approx(1.0, abs=0.05)
    assert race(seconds=1e-9, float=20.0, plan=10.0, b=10.0, c=10.0).seconds == pytest.approx(5 * 0.05)


def test_calls_that_are_disturbed_do_not_decide() -> None:
    """Of the rounds, the plan wins as many as it loses, though its quartile is worse."""
    plan, other = np.tile([10.0, 12.0], 20), np.tile([11.0, 9.0], 20)
    found = [Candidate(name="plan", milliseconds=10.0), Candidate(name="b", milliseconds=9.0)]
    assert _fastest(found, {"plan": plan, "b": other}) == "plan"
    assert _fastest(found, {"plan": plan, "b": plan - 1}) == "b"
