"""Dynamic and weight-only quantization of what the peers' tests apply them to."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.peers.case import NOTHING, Case, ints
from tests.peers.edges import SHAPES_AND_EDGES
from tests.peers.products import CONTRIB, PRODUCTS
from tests.peers.test_static import require_sound
from tests.processor import ORT_TARGET, OWN
from tinyint.errors import ModelError
from tinyint.graph.prepare import prepare_float
from tinyint.proof.verify import verify
from tinyint.quantization.ptq import Quantized, quantize_graph
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime
from tinyint.targets import get_target

ORT = get_runtime("onnxruntime")

# By the products that are MatMulInteger under the dynamic method.
DYNAMIC = {
    "Gemm, Clip, Gemm": (PRODUCTS, 2),
    "Gemm with alpha and beta": (PRODUCTS, 1),
    "two products in a row": (PRODUCTS, 2),
    "Add before three products": (PRODUCTS, 3),
    "weights through Identity, and in a Constant": (SHAPES_AND_EDGES, 2),
    "LSTM between products": (PRODUCTS, 2),
    "Attention": (CONTRIB, 1),
    "SkipLayerNormalization": (CONTRIB, 2),
    "EmbedLayerNormalization": (CONTRIB, 1),
    "Embedding": (SHAPES_AND_EDGES, 1),
}

# By the places whose weights are integers under weight-only.
STORED = {
    "a product": (
        Case(
            text="net (float[2, 3, 32] x) => (float[2, 3, 16] y) { [op] y = MatMul (x, w) }",
            weights={"w": (32, 16)},
        ),
        {("op", 1)},
    ),
    "a convolution": (
        Case(
            text="net (float[1, 8, 6, 6] x) => (float[A, B, C, D] y) { [op] y = Conv (x, w) }",
            weights={"w": (16, 8, 3, 3)},
        ),
        {("op", 1)},
    ),
    "an embedding": (
        Case(
            text="net (int64[2, 3] i) => (float[2, 3, 16] y) { [op] y = Gather (w, i) }",
            weights={"w": (50, 16)},
            feeds={"i": ints([0, 7, 49], [3, 3, 1])},
        ),
        {("op", 0)},
    ),
    "a table that is an embedding and the last product": (
        Case(
            text="""net (int64[2, 3] i) => (float[2, 3, 50] y) {
              [embed] e = Gather (w, i) [turn] t = Transpose <perm = [1, 0]> (w) [op] y = MatMul (e, t) }""",
            weights={"w": (50, 16)},
            feeds={"i": ints([0, 7, 49], [3, 3, 1])},
        ),
        {("embed", 0), ("op", 1)},
    ),
    "an LSTM": (
        Case(
            text="""net (float[5, 2, 12] x) => (float[A, B, C, D] y) {
              [op] y = LSTM <hidden_size = 16, direction = "bidirectional"> (x, w, r, b) }""",
            weights={"w": (2, 64, 12), "r": (2, 64, 16), "b": (2, 128)},
        ),
        {("op", 1), ("op", 2)},
    ),
    "experts": (
        Case(
            text="net (float[4, 3, 16] x) => (float[4, 3, 16] y) { [op] y = MatMul (x, w) }",
            weights={"w": (4, 16, 16)},
        ),
        {("op", 1)},
    ),
    "a weight that is an output as well": (
        Case(
            text="""net (float[5, 16] x) => (float[5, 16] y, float[16, 16] v) {
              [op] y = MatMul (x, w) v = Identity (w) }""",
            weights={"w": (16, 16)},
        ),
        {("op", 1), ("Identity_0", 0)},
    ),
}


def quantized(case: Case, method: str, target: str) -> tuple[ir.Model, Quantized]:
    model = case.model()
    recipe = Recipe.load(method)
    prepared, _ = prepare_float(model)
    return model, quantize_graph(prepared, target=get_target(target), recipe=recipe, record=pytest.fail)


@pytest.mark.parametrize("name", DYNAMIC)
def test_products_quantize_their_inputs_at_run_time(name: str) -> None:
    table, products = DYNAMIC[name]
    model, result = quantized(table[name], "dynamic", ORT_TARGET)
    require_sound(model, result.model)
    assert sum(node.op_type == "MatMulInteger" for node in result.model.graph) == products
    assert sum(row.int8 for row in ORT.executed(result.model)) >= products
    found = verify(model, result.model, table[name].samples(3, seed=2), runtime=ORT, held_out=True)
    assert found.sqnr_db is not None
    assert found.simulated_sqnr_db is not None
    assert found.sqnr_db > max(19.0, found.simulated_sqnr_db - 1)


@pytest.mark.parametrize("runtime", OWN.values())
@pytest.mark.parametrize("name", STORED)
def test_weights_are_integers_in_the_file_wherever_they_are_read(name: str, runtime: str) -> None:
    case, places = STORED[name]
    model, result = quantized(case, "weight_only", "generic")
    onnx.checker.check_model(ir.to_proto(result.model), full_check=True)
    assert set(result.constants) == places
    found = verify(model, result.model, case.samples(3, seed=2), runtime=get_runtime(runtime), held_out=True)
    assert found.sqnr_db is not None
    assert found.sqnr_db > 30


@pytest.mark.parametrize("method", ["dynamic", "weight_only"])
def test_without_weights_nothing_is_quantized(method: str) -> None:
    for name in ("a product of two inputs", "Attention of opset 23", "Where of inputs"):
        with pytest.raises(ModelError, match=f"no weight .* stored in integers|{NOTHING}"):
            quantized(SHAPES_AND_EDGES[name], method, ORT_TARGET)


def test_four_bits_are_refused_with_the_choices() -> None:
    with pytest.raises(Exception, match=r"weights\.bits") as refusal:
        Recipe.load("weight_only").with_settings(["weights.bits=4"])
    assert all(str(bits) in str(refusal.value) for bits in (8, 16))


def test_noise_is_as_expected_of_eight_bits() -> None:
    """Half a step of 1/127 of each row's largest weight, which the mean over a product's inputs shows."""
    case, _ = STORED["a product"]
    _, result = quantized(case, "weight_only", "generic")
    (constant,) = result.constants.values()
    assert (constant.scheme.axis, constant.scheme.qtype.qmax) == (1, 127)
    codes = next(
        v
        for v in result.model.graph.initializers.values()
        if v.dtype == ir.DataType.INT8 and len(v.shape or ()) == 2
    )
    assert codes.const_value is not None
    assert np.abs(codes.const_value.numpy()).max(axis=0).tolist() == [127] * 16


def test_each_gate_of_an_lstm_has_scales_of_its_own() -> None:
    case, _ = STORED["an LSTM"]
    _, result = quantized(case, "weight_only", "generic")
    assert {plan.scheme.axis for plan in result.constants.values()} == {1}
    generator = np.random.default_rng(0)
    loud = case.model()
    gates = generator.choice([0.02, 1.0], size=(2, 64, 1)).astype(np.float32)  # of unlike magnitudes
    for name in ("w", "r"):
        value = loud.graph.initializers[name]
        assert value.const_value is not None
        value.const_value = ir.tensor(value.const_value.numpy() * gates, name=name)
    stored = quantize_graph(
        prepare_float(loud)[0],
        target=get_target("generic"),
        recipe=Recipe.load("weight_only"),
        record=pytest.fail,
    )
    found = verify(loud, stored.model, case.samples(3, seed=2), runtime=ORT, held_out=True)
    assert found.sqnr_db is not None
    assert found.sqnr_db > 40
