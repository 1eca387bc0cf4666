"""Layers of a quantized model, on small networks and the real runtime."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest

from tests.models import inception, noise, residual
from tests.processor import ORT_TARGET
from tinyint.data import Sample, open_data
from tinyint.diagnosis.layers import MOST_SAMPLES, layers_of
from tinyint.errors import ModelError
from tinyint.graph.io import model_fingerprint
from tinyint.proof.coverage import Coverage, planned_coverage, read_coverage
from tinyint.proof.layers import Layer
from tinyint.quantization.calibration import calibrate
from tinyint.quantization.ptq import Quantized, quantize_graph
from tinyint.quantization.recipe import Recipe, Rule, Weights
from tinyint.runtimes import get_runtime
from tinyint.targets import get_target

ORT = get_runtime("onnxruntime")


def quantized(model: ir.Model, recipe: Recipe | None = None) -> Quantized:
    data = open_data(noise(model, 4), ORT.open(model).inputs)
    record = calibrate(model, data, fingerprint=model_fingerprint(model), threads=1)
    return quantize_graph(model, target=get_target(ORT_TARGET), recipe=recipe or Recipe(), record=record)


def samples(model: ir.Model, count: int = 6) -> list[Sample]:
    return list(open_data(noise(model, count, seed=1), ORT.open(model).inputs))


def coverage(of: Quantized) -> Coverage:
    return read_coverage(of, ORT)


@pytest.fixture(scope="module")
def plain() -> Quantized:
    return quantized(residual())


def by_name(rows: tuple[Layer, ...]) -> dict[str, Layer]:
    return {row.name: row for row in rows}


def test_layers_stand_in_order_with_errors_and_times(plain):
    given = samples(residual())
    found = layers_of(plain, coverage(plain), given, runtime=ORT, feeds=given[0].inputs, calls=2, threads=1)
    assert [row.name for row in found.rows] == ["x", "conv1", "conv2", "conv3", "add", "pool", "fc"]
    assert found.samples == MOST_SAMPLES
    assert found.runtime == "onnxruntime"
    assert found.other_ms is not None
    assert found.other_ms[1] > 0  # conversions of input and output
    assert found.notes == ()
    layers = by_name(found.rows)
    assert all(row.precision == "int8" for row in found.rows)
    assert layers["conv1"].nodes == ("conv1", "relu1")
    assert layers["conv1"].weights == ("w1",)
    assert layers["conv1"].inputs == ("x",)
    assert layers["conv1"].macs == 16 * 16 * 8 * 3 * 9
    for row in found.rows[1:]:
        assert row.cumulative_db is not None
        assert row.cumulative_db > 10
        assert row.float_ms is not None
    assert layers["x"].local_db == pytest.approx(layers["x"].cumulative_db, abs=0.1)
    assert found.tensors[layers["conv2"].output].local_db == layers["conv2"].local_db
    assert found.weights["w1"].local_db is not None


def test_a_layer_in_float_has_its_reason_and_what_has_built_up():
    # The classifier's result has no quantizer, but both graphs compute it.
    left = quantized(residual(), Recipe(rules=[Rule(name="conv2", float=True)]))
    found = layers_of(left, coverage(left), samples(residual()))
    layer = by_name(found.rows)["conv2"]
    assert layer.precision == "float"
    assert layer.reason == "kept in float, as the recipe asks for conv2"
    assert layer.cumulative_db is not None
    assert (found.runtime, found.other_ms, layer.int8_ms) == ("", None, None)


def test_operators_that_move_codes_are_layers():
    both = quantized(inception())
    found = by_name(layers_of(both, coverage(both)).rows)
    assert found["pool"].precision == "int8"
    assert found["join"].op == "Concat"


def test_without_samples_there_are_ranges_alone(plain):
    found = layers_of(plain, planned_coverage(plain))
    assert found.samples == 0
    assert all(row.local_db is None and row.float_ms is None for row in found.rows)
    assert found.tensors["x"].seen is not None
    assert found.weights["w1"].channels == 8


def test_a_large_outlier_is_the_cause(plain):
    model = residual()
    weight = model.graph.initializers["w2"]
    values = np.array(weight.const_value.numpy())
    values[0, 0, 0, 0] = 500 * np.abs(values).max()
    weight.const_value = ir.tensor(values, name="w2")
    spoiled = quantized(model, Recipe(weights=Weights(granularity="per_tensor")))
    layer = by_name(layers_of(spoiled, coverage(spoiled), samples(residual())).rows)["conv2"]
    assert layer.cause == "wide range"
    assert layer.detail.startswith("weight w2: channel ")


def test_what_cannot_be_measured_is_said_and_the_rest_is_there(plain):
    class Broken:
        name = "broken"

        def profile(self, *_: object, **__: object) -> None:
            raise ModelError("no profile here")

    odd = replace(samples(residual(), 1)[0], inputs={"x": np.full((1, 3, 16, 16), np.nan, np.float32)})
    found = layers_of(
        plain,
        coverage(plain),
        [odd],
        runtime=Broken(),
        feeds=odd.inputs,
        threads=1,  # type: ignore[arg-type]
    )
    assert found.samples == 0
    assert found.runtime == ""
    assert "the layers' times were not measured: no profile here" in found.notes
    assert any(note.startswith("the layers' errors were not measured: ") for note in found.notes)
    assert len(found.rows) == 7


def test_weights_alone_make_layers_too():
    model = residual()
    stored = quantize_graph(model, target=get_target(ORT_TARGET), recipe=Recipe.load("weight_only"))
    found = layers_of(stored, planned_coverage(stored), samples(model))
    layers = by_name(found.rows)
    assert layers["conv2"].weights == ("w2",)  # the others are too small to be worth it
    assert layers["conv2"].precision == "float"
    assert layers["conv2"].cumulative_db is not None
    assert found.tensors == {}
