import numpy as np
import pytest

from tests.graph.build import build
from tests.models import noise
from tinyint.errors import RecipeError
from tinyint.graph.io import weight_bytes
from tinyint.graph.prepare import prepare
from tinyint.numerics import sqnr_db
from tinyint.ptq import quantize
from tinyint.recipe import Recipe
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
    return quantize(
        model, target=get_target("x86-vnni"), recipe=recipe, record=lambda: pytest.fail("no data")
    )


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
