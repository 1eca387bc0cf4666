"""The settings that the peers' tests turn, on the models that they turn them on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import tinyint
from tests.graph.build import build
from tests.peers.case import Case
from tests.peers.edges import SHAPES_AND_EDGES
from tests.peers.products import PRODUCTS
from tests.processor import ORT_TARGET
from tinyint.graph.prepare import prepare_float
from tinyint.quantization.ptq import quantize_graph
from tinyint.quantization.qdq import read
from tinyint.quantization.recipe import Recipe
from tinyint.targets import get_target

LINEAR = SHAPES_AND_EDGES["Linear: two convolutions with a batch norm"]


def quantized(case: Case, *settings: str, target: str = ORT_TARGET) -> ir.Model:
    prepared, _ = prepare_float(case.model())
    recipe = Recipe.load("default").with_settings(settings)
    return quantize_graph(
        prepared, target=get_target(target), recipe=recipe, record=case.record(prepared)
    ).model


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("target", ["x86-vnni", "arm64"])
def test_symmetric_activations_have_their_zero_point_in_the_middle(target: str, symmetric: bool) -> None:
    case = PRODUCTS["Gemm with alpha and beta"]
    setting = f"activations.symmetric={str(symmetric).lower()}"
    shifted = Case(
        text=case.text, weights=case.weights, feeds={"x": np.float32(np.linspace(-1, 3, 20).reshape(2, 10))}
    )
    params = {t.name: t.params for t in read(quantized(shifted, setting, target=target)) if not t.constant}
    assert (int(params["x"].zero_point) == 128) is symmetric


@pytest.mark.parametrize(("granularity", "sizes"), [("per_channel", {32, 10}), ("per_tensor", {1})])
def test_weights_have_one_scale_or_one_a_channel(granularity: str, sizes: set[int]) -> None:
    found = read(quantized(LINEAR, f"weights.granularity={granularity}"))
    assert {t.params.scale.size for t in found if t.constant and t.name in ("w1", "w2")} == sizes


@pytest.mark.parametrize(("skip", "weights"), [("conv2", {"w1"}), ("GlobalAveragePool", {"w1", "w2"})])
def test_nodes_are_left_out_by_name_or_by_operator(skip: str, weights: set[str]) -> None:
    model = quantized(LINEAR, f"skip=[{skip}]")
    assert {t.name for t in read(model) if t.constant} & {"w1", "w2"} == weights
    reader = next(node for node in model.graph if node.op_type == "GlobalAveragePool")
    before = None if reader.inputs[0] is None else reader.inputs[0].producer()
    assert before is not None
    assert before.op_type == "DequantizeLinear"  # conv1 is in int8 in any case


@pytest.mark.parametrize("opset", [9, 10, 11, 12, 13, 15, 17, 19, 20, 21, 22, 23])
def test_every_opset_gives_the_same_int8_model(opset: int) -> None:
    """Of a network whose operators have not changed between them."""
    case = Case(text=LINEAR.text, weights=LINEAR.weights, opset=opset)
    codes = {
        name: v.const_value.numpy() for name, v in quantized(case).graph.initializers.items() if v.const_value
    }
    reference = quantized(LINEAR).graph.initializers
    for name in ("w1_q", "w2_q", "x/scale"):
        value = reference[name].const_value
        assert value is not None
        np.testing.assert_array_equal(codes[name], value.numpy())


def test_the_bias_that_overflows_int32_is_kept_by_a_larger_weight_scale() -> None:
    case = PRODUCTS["a large bias under small weights"]
    found = {t.name: t for t in read(quantized(case)) if t.constant}
    steps = found["b"].params.scale.astype(np.float64)
    assert np.abs(np.float64([5, 1, 0.5, 0]) / steps).max() <= 2**31 - 1
    assert found["w"].params.scale[0] > np.float32(1e-5)  # what the small weights alone would need is less


def test_tensors_of_nothing_have_a_scale_all_the_same() -> None:
    found = read(quantized(PRODUCTS["a range of nothing"]))
    assert all((t.params.scale > 0).all() and np.isfinite(t.params.scale).all() for t in found)


def test_external_weights_go_through_and_the_report_says_where_the_error_arises(tmp_path: Path) -> None:
    source, target = tmp_path / "float" / "model.onnx", tmp_path / "int8.onnx"
    source.parent.mkdir()
    proto = ir.to_proto(LINEAR.model())
    onnx.save(proto, source, save_as_external_data=True, location="weights.bin", size_threshold=0)
    samples = [sample.inputs for sample in LINEAR.samples(8, seed=1)]
    result = tinyint.quantize(source, tinyint.Samples(samples, limit=4), output=target, target=ORT_TARGET)
    onnx.checker.check_model(target, full_check=True)
    assert result.report.verification is not None
    assert (result.report.verification.sqnr_db or 0) > 25
    layers = tinyint.compare(source, target, samples[4:])
    assert {"w1", "w2", "x"} <= {row.name for row in layers.rows}


def test_a_weight_of_two_readers_of_unlike_inputs_is_quantized_for_each() -> None:
    model = build(
        """net (float[1, 3, 6, 6] x) => (float[A, B, C, D] y, float[E, F, G, H] z) {
          [one] y = Conv (x, w, b) s = Sigmoid (x) [two] z = Conv (s, w, b) }""",
        w=(4, 3, 3, 3),
        b=(4,),
    )
    prepared, _ = prepare_float(model)
    convs = [node for node in prepared.graph if node.op_type == "Conv"]
    assert convs[0].inputs[2] is not convs[1].inputs[2]
