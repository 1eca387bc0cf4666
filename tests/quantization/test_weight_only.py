import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tests.models import noise
from tinyint.errors import ModelError, RecipeError
from tinyint.graph.io import weight_bytes
from tinyint.graph.prepare import prepare
from tinyint.numbers.numerics import sqnr_db
from tinyint.quantization.ptq import quantize_graph
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime
from tinyint.targets import get_target


def network():
    """An embedding, a convolution and a classifier; all of them have weights."""
    return prepare(
        build(
            """
            net (float[1, 8, 12, 12] x, int64[3] ids) => (float[1, 40] y, float[3, 32] e) {
              [conv] a = Conv (x, w1)
              [pool] p = GlobalAveragePool (a)
              [flat] f = Flatten (p)
              [fc] y = Gemm (f, w2, b2)
              [table] e = Gather <axis = 0> (words, ids)
            }
            """,
            w1=(16, 8, 3, 3),
            w2=(16, 40),
            b2=(40,),
            words=(50, 32),
        )
    )


def stored(model, *settings):
    recipe = Recipe.load("weight_only").with_settings(settings)
    return quantize_graph(model, target=get_target("x86-vnni"), recipe=recipe)


FEEDS = {
    **noise(prepare(build("n (float[1, 8, 12, 12] x) => (float[1, 8, 12, 12] y) { y = Relu (x) }")), 1)[0]
}
FEEDS["ids"] = np.int64([0, 7, 49])


@pytest.mark.parametrize(("settings", "share", "db"), [([], 0.25, 35), (["weights.bits=16"], 0.5, 80)])
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_all_weights_shrink_and_outputs_stay(runtime, settings, share, db):
    model = network()
    small = stored(model, *settings).model
    assert weight_bytes(small) / weight_bytes(model) == pytest.approx(share, abs=0.06)
    expected = get_runtime("onnxruntime").open(model).run(FEEDS)
    got = get_runtime(runtime).open(small).run(FEEDS)
    for name, values in expected.items():
        assert sqnr_db(values, got[name]) > db


def test_every_weight_is_stored_as_integers():
    quantized = stored(network())
    assert set(quantized.constants) == {("conv", 1), ("fc", 1), ("table", 0)}
    assert not [
        v
        for v in quantized.model.graph.initializers.values()
        if v.dtype.name == "FLOAT" and v.shape.numpy()[1:]
    ]


def test_channels_have_scales_of_their_own():
    axes = {use: plan.scheme.axis for use, plan in stored(network()).constants.items()}
    assert axes == {("conv", 1): 0, ("fc", 1): 1, ("table", 0): 0}


def test_the_runtime_dequantizes_once_at_load():
    executed = get_runtime("onnxruntime").executed(stored(network()).model)
    assert not [row for row in executed if row.op == "DequantizeLinear"]


def test_skip_holds_for_weights_too():
    assert ("fc", 1) not in stored(network(), "skip=[Gemm]").constants


def test_a_skip_that_matches_nothing_is_an_error():
    with pytest.raises(RecipeError, match="Gemn"):
        stored(network(), "skip=[Gemn]")


BRANCHES = """net (float[N,16] x, bool c) => (float[N,32] y) {
  y = If (c) <
    then_branch = left () => (float[N,32] t) { h = MatMul (x, shared)  t = Relu (h) },
    else_branch = right () => (float[N,32] e) { h = MatMul (x, shared)  e = Neg (h) }
  >
}"""


def test_weights_that_bodies_read_are_stored_in_integers():
    model = prepare(build(BRANCHES, shared=(16, 32)))
    for body in model.graph.subgraphs():
        if body is not model.graph and body.name == "right":  # one branch has a weight of its own
            weight = ir.Value(name="own", const_value=ir.tensor(np.ones((16, 32), np.float32), name="own"))
            weight.dtype, weight.shape = ir.DataType.FLOAT, ir.Shape([16, 32])
            body.register_initializer(weight)
            body[0].replace_input_with(1, weight)
    recipe = Recipe.load("weight_only")
    quantized = quantize_graph(model, target=get_target("generic"), recipe=recipe, record=pytest.fail)
    held = [v for graph in quantized.model.graphs() for v in graph.initializers.values()]
    large = [v.dtype for v in held if v.shape == (16, 32)]
    assert large == [ir.DataType.INT8] * 2
    for condition in (True, False):
        feeds = {"x": np.ones((2, 16), np.float32), "c": np.array(condition)}
        expected, found = (
            get_runtime("onnxruntime").open(m).run(feeds)["y"] for m in (model, quantized.model)
        )
        assert sqnr_db(expected, found) > 30
    assert quantized.float_nodes == {
        "If_0": "its weights are stored in integers (weight-only); the arithmetic is float"
    }


@pytest.mark.parametrize(
    ("text", "weights", "why"),
    [
        ("y = MatMul (x, w)", {"w": (4, 4)}, "has 16 elements; from 256 on"),
        ("y = Relu (x)", {}, "no constant of two or more dimensions"),
    ],
)
def test_a_file_without_integers_is_refused(text, weights, why):
    with pytest.raises(ModelError, match=f"no weight .* stored in integers: .*{why}"):
        stored(prepare(build(f"net (float[N,4] x) => (float[N,4] y) {{ {text} }}", **weights)))


def test_weights_in_double_are_named():
    model = build("net (double[N,16] x) => (double[N,16] y) { y = MatMul (x, w) }", w=np.ones((16, 16)))
    with pytest.raises(ModelError, match="its weights are float64; export it in float32"):
        stored(prepare(model))
