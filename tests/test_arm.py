"""Artifacts of `arm64` on emulated processors, where benchmarks/arm/userland.py has set up a user space for them."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from arm.artifacts import make
from arm.files import Files
from arm.layers import cut, differences, given, with_cuts
from arm.rows import rows
from arm.userland import Userland

from tests.graph.build import build
from tinyint.graph.io import load_model, save_model
from tinyint.graph.prepare import prepare
from tinyint.runtimes import get_runtime

USERLAND = Userland()
emulated = pytest.mark.skipif(
    not USERLAND.is_set_up, reason="needs AArch64, which benchmarks/arm/userland.py sets up"
)
PRODUCTS = {"NEON": {"mull8"}, "dot products": {"udot", "mull8"}, "i8mm": {"i8mm", "mull8"}}
"""What multiplies 8 bits; depthwise layers by plain products everywhere."""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Files:
    """The artifacts of a small network with a depthwise layer, a sum, a mean and a classifier."""
    folder = tmp_path_factory.mktemp("arm")
    generator = np.random.default_rng(0)
    feeds = [{"x": generator.normal(size=(1, 3, 24, 24)).astype(np.float32)} for _ in range(6)]
    model = prepare(
        build(
            """
            net (float[N, 3, 24, 24] x) => (float[N, 10] y) {
              [stem] a = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w1, b1)
              [relu] ar = Relu (a)
              [depthwise] b = Conv <pads = [1, 1, 1, 1], group = 16> (ar, w2, b2)
              [relu2] br = Relu (b)
              [pointwise] c = Conv (br, w3, b3)
              [add] s = Add (c, ar)
              [pool] p = GlobalAveragePool (s)
              [flat] f = Flatten (p)
              [fc] y = Gemm <transB = 1> (f, w4, b4)
            }
            """,
            w1=(16, 3, 3, 3),
            b1=(16,),
            w2=(16, 1, 3, 3),
            b2=(16,),
            w3=(16, 16, 1, 1),
            b3=(16,),
            w4=(10, 16),
            b4=(10,),
        )
    )
    save_model(model, folder / "net.onnx")
    made = Files(folder, "net")
    make(made, folder / "net.onnx", feeds[:4], feeds[4:])
    return made


def test_layers_depend_on_the_codes_that_they_are_given_and_on_no_others(files):
    model, ort = load_model(files.model("static")), get_runtime("onnxruntime")
    feeds = next(files.read("samples"))
    simulated = ort.open(with_cuts(model), optimize=False).run(feeds)
    layers, inputs = ort.open(cut(model, simulated), optimize=False), given(model, feeds, simulated)
    values = 3 * 24**2 + 4 * 16 * 12**2 + 2 * 16 + 10
    assert differences([simulated], [layers.run(inputs)]) == {
        "values": values,
        "others": 0,
        "steps_max": 0,
    }
    inputs["ar_q (given)"] = 255 - inputs["ar_q (given)"]
    altered = layers.run(inputs)
    assert {name for name in altered if not np.array_equal(altered[name], simulated[name])} == {"br_q", "s_q"}


@emulated
@pytest.mark.parametrize("processor", PRODUCTS)
def test_artifacts_give_there_what_was_simulated(files, processor):
    found = {row["artifact"]: row for row in rows(USERLAND, [files], processor)}
    assert set(found) == set(files.artifacts())
    for artifact, row in found.items():
        assert row["samples"] == 2
        assert row["lsb_max"] <= 1.01, artifact
    static = found["static"]
    assert static["int8_operators"]["QLinearConv"] == 3
    assert {"QLinearAdd", "QLinearGlobalAveragePool", "QGemm"} < static["int8_operators"].keys()
    kinds = {"udot", "sdot", "usdot", "i8mm", "mull8"}
    assert {kind for kind in kinds if static["instructions"][kind]} == PRODUCTS[processor]
    layers = static["in_layers"]
    assert layers["steps_max"] <= 1
    assert layers["others"] <= layers["values"] / 1000
    assert found["dynamic"]["int8_operators"] == {"DynamicQuantizeMatMul": 1}
    assert found["weight_only"]["int8_operators"] == {}
