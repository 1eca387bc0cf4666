"""The places of steps: in the order of their list, before or after ranges, by quantization and training alike."""

import sys
import types
from dataclasses import replace

import numpy as np
import pytest

import tinyint
from tests.models import noise, residual
from tests.quantization.repair.test_absorb_bias import biased
from tinyint import qat
from tinyint.errors import RecipeError, RecordError, TinyintWarning
from tinyint.graph.walk import constant_of
from tinyint.numbers.numerics import Constant
from tinyint.quantization.calibration.statistics import ChannelMeans, Request
from tinyint.quantization.recipe import Recipe
from tinyint.quantization.recipe import steps as registry
from tinyint.quantization.repair import FloatStep, ParameterStep, Quantization
from tinyint.quantization.repair.run import _float_steps

MEANS = Request(statistic=ChannelMeans, tensor="br")


class RoundDown(ParameterStep):
    """Decides codes: those of the weights of `conv3` become the next lower ones."""

    name = "round_down"

    def needs(self, model):  # noqa: ARG002
        return frozenset({MEANS})

    def apply(self, state: Quantization) -> tuple[Quantization, str]:
        means = state.record.statistic(MEANS).means()
        node = next(n for n in state.graph.graph if n.name == "conv3")
        params = state.assignment.constants["conv3", 1].params
        scale = params.scale.reshape(-1, 1, 1, 1)
        codes = np.clip(np.floor(constant_of(node.inputs[1]) / scale), -127, 127).astype(np.int8)
        constants = {**state.assignment.constants, ("conv3", 1): Constant(params=params, codes=codes)}
        assignment = replace(state.assignment, constants=constants)
        return replace(state, assignment=assignment), f"rounded down, {means.size} means"


@pytest.fixture
def round_down(monkeypatch):
    """What a new step takes: a file with `STEP`, and its name in the list."""
    module = types.ModuleType("tinyint.quantization.repair.round_down")
    module.STEP = RoundDown()
    monkeypatch.setitem(sys.modules, "tinyint.quantization.repair.round_down", module)
    names = (*registry.STEPS, "round_down")
    for place in ("tinyint.quantization.recipe.steps", "tinyint.quantization.repair.run"):
        monkeypatch.setattr(f"{place}.STEPS", names)


def data(model, count=4):
    return [next(iter(sample.values())) for sample in noise(model, count)]


def codes_of(model) -> np.ndarray:
    return next(v.const_value.numpy() for v in model.graph.initializers.values() if v.name == "w3_q")


def expected(made, model) -> np.ndarray:
    scale = next(v.const_value.numpy() for v in made.graph.initializers.values() if v.name == "w3/scale")
    weight = constant_of(next(n for n in model.graph if n.name == "conv3").inputs[1])
    return np.clip(np.floor(weight / scale.reshape(-1, 1, 1, 1)), -127, 127)


@pytest.mark.usefixtures("round_down")
def test_a_step_on_parameters_decides_codes_and_gets_its_statistics():
    model = residual()
    result = tinyint.quantize(
        model,
        data(model),
        target="generic",
        recipe=tinyint.Recipe.load("default").with_settings(["steps=round_down"]),
        run=tinyint.Run(threads=1),
    )
    assert result.record.statistics.keys() == {MEANS}
    assert "round_down: rounded down, 8 means" in result.report.notes
    np.testing.assert_array_equal(codes_of(result.model), expected(result.model, model))
    plain = tinyint.quantize(model, data(model), target="generic", run=tinyint.Run(threads=1, verify=False))
    assert (codes_of(plain.model) != codes_of(result.model)).any()
    with pytest.raises(
        RecordError, match=r"lacks the channel_means of 'br'.*which a step of the recipe needs"
    ):
        tinyint.quantize(
            model,
            calibration=plain.record,
            target="generic",
            recipe=tinyint.Recipe.load("default").with_settings(["steps=round_down"]),
        )
    with pytest.raises(RecipeError, match=r"`steps: \[round_down\]` works by calibration"):
        tinyint.quantize(model, recipe=tinyint.Recipe.load("weight_only").with_settings(["steps=round_down"]))


@pytest.mark.usefixtures("round_down")
def test_training_starts_from_it_and_another_target_gets_it_again():
    model, recipe = residual(), Recipe(steps=("round_down",))
    module = qat.prepare(model, data(model), recipe=recipe, target="x86-vnni")
    assert module.origin.record.statistics.keys() == {MEANS}
    with pytest.warns(TinyintWarning, match="is exported for generic"):
        made = qat.export(module.eval(), target="generic")
    np.testing.assert_array_equal(codes_of(made), expected(made, model))


@pytest.mark.usefixtures("round_down")
def test_steps_of_both_places_share_a_calibration():
    model = biased()
    seen = []

    class Watched(RoundDown):
        def needs(self, model):  # noqa: ARG002
            return frozenset({Request(statistic=ChannelMeans, tensor="s")})

        def apply(self, state):
            seen.append(state.record)
            return state, "looked"

    sys.modules["tinyint.quantization.repair.round_down"].STEP = Watched()
    result = tinyint.quantize(
        model,
        data(model, 6),
        target="generic",
        recipe=tinyint.Recipe.load("default").with_settings(["steps=[round_down, absorb_bias]"]),
        run=tinyint.Run(verify=False, threads=1),
    )
    (record,) = seen
    assert record is result.record
    assert list(record.statistics) == [Request(statistic=ChannelMeans, tensor="s")]
    assert record.decisions["absorb_bias"].keys() == {"a"}
    assert "round_down: looked" in result.report.notes


def test_steps_come_in_the_order_of_their_list_whatever_the_recipes():
    names = [step.name for step in _float_steps(Recipe(steps=("absorb_bias", "equalize")))]
    assert names == ["equalize", "absorb_bias"]


def test_each_name_is_that_of_its_file_and_step():
    for step in _float_steps(Recipe(steps=registry.STEPS)):
        assert isinstance(step, FloatStep)
        assert type(step).__module__ == f"tinyint.quantization.repair.{step.name}"
        assert step.reads_data == bool(step.needs(biased()))
