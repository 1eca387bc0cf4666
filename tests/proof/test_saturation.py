"""What a processor without VNNI is said to do to an int8 model, by the weights of the model."""

import numpy as np
import pytest

from tests.graph.build import build
from tests.models import noise, residual
from tests.runtimes.graphs import Graph
from tinyint.data import Sample
from tinyint.graph.passes.exact_products import exact_products
from tinyint.graph.prepare import prepare
from tinyint.graph.source import whole
from tinyint.numbers.numerics import UINT8, QParams
from tinyint.proof.saturation import saturating_nodes, saturation
from tinyint.quantization.calibration import calibrate
from tinyint.quantization.plan import Role, plan
from tinyint.quantization.ptq import quantize_graph
from tinyint.quantization.qdq import insert
from tinyint.quantization.qparams import Assignment, constant_params, largest_code, with_codes
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime
from tinyint.runtimes.host import Host
from tinyint.targets import TARGETS

AVX2 = Host(machine="x86_64", model="", cores=1, features=frozenset({"avx2"}))
VNNI = Host(machine="x86_64", model="", cores=1, features=frozenset({"avx2", "avx512_vnni"}))


def made(target, recipe="default"):
    model = residual()
    samples = [Sample(inputs, name=str(i)) for i, inputs in enumerate(noise(model, 2))]
    record = calibrate(model, samples, fingerprint="f", threads=1)
    return quantize_graph(model, target=TARGETS[target], recipe=Recipe.load(recipe), record=record).model


@pytest.mark.parametrize(
    ("made_for", "runtime", "instead"),
    [
        ("x86-vnni", "onnxruntime", "x86-avx2"),
        ("openvino", "openvino", "openvino-avx2"),
        ("generic", "onnxruntime", "x86-avx2"),
    ],
)
def test_a_model_made_for_vnni_is_said_to_saturate_with_the_way_out(made_for, runtime, instead):
    told = saturation(made(made_for), runtime, AVX2)
    assert told is not None
    assert "no VNNI" in told
    assert f"quantize with --target {instead}" in told
    assert saturation(made(made_for), runtime, VNNI) is None


@pytest.mark.parametrize(
    ("made_for", "runtime"), [("x86-avx2", "onnxruntime"), ("openvino-avx2", "openvino")]
)
@pytest.mark.parametrize("recipe", ["default", "dynamic"])
def test_a_model_made_for_it_is_not(made_for, runtime, recipe):
    assert saturation(made(made_for, recipe), runtime, AVX2) is None


def test_weights_that_are_restored_to_float_multiply_no_bytes():
    assert saturation(made("x86-vnni", "weight_only"), "onnxruntime", AVX2) is None


@pytest.mark.parametrize(("dtype", "zero_point"), [("uint8", 128), ("int8", 0)])
@pytest.mark.parametrize(
    ("codes", "saturates"), [([127, 1], False), ([127, 2], True), ([127, -127], False), ([-65, -64], True)]
)
def test_the_weights_decide_whoever_wrote_the_file(codes, saturates, dtype, zero_point):
    g = Graph(1, 2)
    w = g._dequantized("w", np.array(codes, np.int8)[:, None], 1.0, 1, 0)
    model = whole(g.model(g.add("MatMul", [g.quantized("x", 0.05, zero_point, dtype), w], "product")))
    assert saturating_nodes(model, TARGETS["x86-avx2"]) == (["product"] if saturates else [])


def test_products_of_the_simulation_are_exact_on_any_processor():
    model = made("x86-vnni", "dynamic")
    simulated = exact_products(model)
    assert "MatMulInteger" not in [node.op_type for node in simulated.graph]
    assert "MatMulInteger" in [node.op_type for node in model.graph]
    ort = get_runtime("onnxruntime")
    own = made("x86-avx2", "dynamic")  # which every processor adds exactly
    for feeds in noise(residual(), 3, seed=5):
        exact, real = (
            next(iter(ort.open(m, optimize=False).run(feeds).values())) for m in (exact_products(own), own)
        )
        np.testing.assert_allclose(exact, real, rtol=1e-6, atol=1e-6)


def gated():
    """A Sigmoid joins a tensor of ten times its range under one scale, so that its codes stay low."""
    rng = np.random.default_rng(0)
    weights = {"u": (8, 4, 1, 1), "v": (8, 4, 1, 1), "w": (8, 8, 1, 1), "j": (8, 16, 1, 1)}
    return prepare(
        build(
            "net (float[1, 4, 6, 6] x) => (float[1, 8, 6, 6] y, float[1, 8, 6, 6] z) { [a] a = Conv (x, u) "
            "[gate] g = Sigmoid (a) [b] b = Conv (x, v) [join] c = Concat <axis = 1> (g, b) [read] y = Conv (g, w) "
            "[all] z = Conv (c, j) }",
            **{
                name: np.abs(rng.standard_normal(shape)).astype(np.float32) for name, shape in weights.items()
            },
        )
    )


def test_codes_that_stay_low_loosen_the_limit_and_are_known_to():
    model = gated()
    target = TARGETS["x86-avx2"]
    params = QParams(scale=np.float32(10 / 255), zero_point=0, qtype=UINT8)
    read = next(node for node in model.graph if node.name == "read")
    assert largest_code(read.inputs[0], params) == 27  # 1 is code 25.5, to the even 26, and one more
    assert largest_code(model.graph.inputs[0], params) == 255
    planned = plan(model, target, Recipe.load("default"))
    tensors = dict.fromkeys(planned.tensors, params)
    nodes = {node.name: node for node in model.graph}
    free, tight = (
        with_codes(nodes, planned.constants, constant_params(nodes, planned.constants, known), known)
        for known in (tensors, None)
    )

    def largest(constants):
        return np.abs(constants["read", 1].codes.reshape(8, 4, 2).astype(int).sum(axis=2)).max()

    assert largest(tight) <= 128 < largest(free)
    biased = {use: c for use, c in free.items() if planned.constants[use].role is Role.WEIGHT}
    written = insert(model, planned, Assignment(tensors=tensors, constants=biased))
    assert "read" not in saturating_nodes(written, target)
