"""The fastest runtime of those on which a model is right."""

# ruff: noqa: ARG005

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.fake_runtime import FakeRuntime
from tests.graph.build import build
from tinyint.errors import DataError, ModelError, TargetError
from tinyint.proof import choice
from tinyint.proof.choice import Choice, Conditions, choose
from tinyint.runtimes import get_runtime
from tinyint.runtimes.apart import Failure, Outputs

X = {"x": np.zeros((1, 3), np.float32)}


@dataclass
class Machine:
    """A clock that only runs move."""

    now: float = 0.0

    def runtime(self, name: str, ms: float, **options: Any) -> FakeRuntime:
        def on_call(_: str) -> None:
            self.now += ms / 1e3

        return FakeRuntime(name=name, on_call=on_call, **options)

    def choose(self, *runtimes: FakeRuntime, preferred: str = "slow", **conditions: Any) -> Choice:
        chosen, session = choose(
            b"", runtimes, Conditions(**conditions), preferred=preferred, clock=lambda: self.now
        )
        session.run(X)
        assert next(r for r in runtimes if r.name == chosen.runtime).calls
        return chosen


class Refusing(FakeRuntime):
    error: Exception = ModelError("the model: refusing cannot load it: it is odd")

    def open(self, *_: Any, **__: Any) -> Any:
        raise self.error


class Absent(FakeRuntime):
    def available(self) -> None:  # type: ignore[override]
        return None


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_the_faster_one_is_chosen_and_both_figures_are_said(machine: Machine) -> None:
    found = machine.choose(machine.runtime("slow", 4), machine.runtime("fast", 2.5))
    assert found.runtime == "fast"
    assert found.milliseconds == {"slow": pytest.approx(4), "fast": pytest.approx(2.5)}
    assert str(found) == "runs on fast: 2.5 ms a call, 4 ms on slow"


@pytest.mark.parametrize(("ms", "runtime"), [(3.9, "slow"), (3.7, "fast")])
def test_the_models_own_runtime_wins_unless_another_is_five_per_cent_faster(
    machine: Machine, ms: float, runtime: str
) -> None:
    assert machine.choose(machine.runtime("slow", 4), machine.runtime("fast", ms)).runtime == runtime


@pytest.mark.parametrize(("ms", "calls"), [(1.0, 200), (100.0, 5), (60_000.0, 1)])
def test_the_time_is_bounded_whatever_the_model(machine: Machine, ms: float, calls: int) -> None:
    """After the call whose outputs are compared: a second, 200 rounds, or one call each."""
    runtimes = machine.runtime("slow", ms), machine.runtime("fast", ms)
    choose(b"", runtimes, Conditions(), preferred="slow", clock=lambda: machine.now)
    assert [len(runtime.calls) for runtime in runtimes] == [1 + calls, 1 + calls]


def test_one_that_refuses_is_left_out_with_its_reason(machine: Machine) -> None:
    found = machine.choose(machine.runtime("slow", 4), Refusing(name="refusing"))
    assert (found.runtime, dict(found.milliseconds)) == ("slow", {})
    assert str(found) == "runs on slow; refusing cannot load it: it is odd"


def test_one_that_is_not_installed_is_left_out_with_its_reason(machine: Machine) -> None:
    assert str(machine.choose(machine.runtime("slow", 4), Absent(name="absent"))) == (
        "runs on slow; absent is not installed"
    )


def test_where_none_opens_it_all_reasons_are_said(machine: Machine) -> None:
    other = Refusing(name="other")
    other.error = TargetError("other computes in no such type")
    with pytest.raises(ModelError) as caught:
        machine.choose(Refusing(name="refusing"), other)
    assert str(caught.value) == (
        "the model: no runtime opens it: refusing cannot load it: it is odd; other computes in no such type"
    )


def test_one_that_ends_its_process_is_left_out(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "Apart", Child.giving(Failure.ENDED))
    risky = machine.runtime("risky", 1, safe=False)
    found = machine.choose(machine.runtime("slow", 4), risky)
    assert (found.runtime, risky.calls) == ("slow", [])
    assert str(found) == "runs on slow; risky ends the process with it"


@pytest.mark.parametrize(
    ("second", "runtime"), [([], "risky"), (Failure.REFUSED, "risky"), (Failure.STUCK, "slow")]
)
def test_a_child_that_ran_another_model_gets_a_second_try(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, second: Outputs | Failure, runtime: str
) -> None:
    monkeypatch.setattr(choice, "Apart", Child.giving(Failure.ENDED, second, fresh=False))
    assert (
        machine.choose(machine.runtime("slow", 4), machine.runtime("risky", 1, safe=False)).runtime == runtime
    )


def test_one_that_refuses_apart_is_asked_here_for_its_reason(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "Apart", Child.giving(Failure.REFUSED))
    found = machine.choose(machine.runtime("slow", 4), Refusing(name="refusing", safe=False))
    assert found.excluded == {"refusing": "refusing cannot load it: it is odd"}


def test_one_that_computes_something_else_is_left_out(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = {"fast": "computes something else"}
    monkeypatch.setattr(choice, "unlike", lambda model, feeds, outputs: reasons if len(outputs) > 1 else {})
    found = machine.choose(machine.runtime("slow", 4), machine.runtime("fast", 1))
    assert str(found) == "runs on slow; fast computes something else"


@pytest.mark.parametrize("shape", [(None, 3), (2, None)])
def test_one_whose_products_saturate_is_left_out_measured_or_not(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, shape: tuple[int | None, ...]
) -> None:
    monkeypatch.setattr(
        choice, "saturating", lambda model, names: {"slow": "they saturate"} if len(names) > 1 else {}
    )
    runtimes = (machine.runtime("slow", 4, shape=shape), machine.runtime("fast", 9, shape=shape))
    found, _ = choose(b"", runtimes, Conditions(), preferred="slow", clock=lambda: machine.now)
    assert found.runtime == "fast"
    assert found.excluded == {"slow": "on slow, they saturate"}


def test_without_an_example_open_dimensions_are_not_measured(machine: Machine) -> None:
    runtimes = machine.runtime("fast", 1, shape=(None, None)), machine.runtime("slow", 4, shape=(None, None))
    found = machine.choose(*runtimes)
    assert found.runtime == "slow"
    assert str(found) == (
        "runs on slow, which was not chosen by its speed: input 'x' has open dimensions, float32 [?, ?]; give an "
        "example"
    )
    assert machine.choose(*runtimes, example=X).runtime == "fast"
    assert machine.choose(*runtimes, shapes={"x": (1, 3)}).runtime == "fast"


def test_inputs_that_cannot_be_made_up_are_not_measured(machine: Machine) -> None:
    found, _ = choose(
        b"", [machine.runtime("slow", 4, dtype="object")] * 2, Conditions(), preferred="slow", clock=lambda: 0
    )
    assert "of type object" in str(found.unmeasured)


def test_an_example_that_does_not_fit_is_refused(machine: Machine) -> None:
    with pytest.raises(DataError, match="expected float32"):
        machine.choose(
            machine.runtime("slow", 4),
            machine.runtime("fast", 1),
            example={"x": np.zeros((1, 4), np.float32)},
        )


def test_random_inputs_have_the_batch_that_is_asked_for(machine: Machine) -> None:
    runtimes = machine.runtime("slow", 4), machine.runtime("fast", 1)
    machine.choose(*runtimes, batch_size=5)
    assert {feeds["x"].shape for _, feeds in runtimes[0].calls} == {(5, 3)}


def test_a_real_model_runs_on_both_runtimes() -> None:
    model = build("g (float[N,8] x) => (float[N,4] y) { a = MatMul (x, w) y = Relu (a) }", w=(8, 4))
    runtimes = [get_runtime(name) for name in ("onnxruntime", "openvino")]
    found, session = choose(model, runtimes, Conditions(threads=1), preferred="openvino")
    assert set(found.milliseconds) == {"onnxruntime", "openvino"}
    assert session.run({"x": np.ones((2, 8), np.float32)})["y"].shape == (2, 4)


@dataclass
class Child:
    """A child process that gives one answer after the other; `fresh` until it has given one."""

    answers: list[Outputs | Failure]
    fresh: bool = True

    @classmethod
    def giving(cls, *answers: Outputs | Failure, fresh: bool = True) -> Callable[[str], Child]:
        return lambda runtime: cls(list(answers), fresh)

    def run_all(self, *_: Any) -> Outputs | Failure:
        return self.answers.pop(0)

    def leave(self) -> None:
        assert self.answers == []
