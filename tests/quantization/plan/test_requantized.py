"""Convolutions in float whose weights ONNX Runtime would quantize by itself, with one scale for all."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

import tinyint
from tests.graph.build import build
from tests.processor import ORT_TARGET, X86
from tests.runtimes.facts.probes import ORT, error_in_lsb
from tests.runtimes.graphs import Graph
from tinyint.graph.prepare import prepare
from tinyint.quantization.plan import plan
from tinyint.quantization.recipe import Recipe, Rule
from tinyint.targets import get_target

HELD = Recipe(rules=(Rule(name="held", float=True),))
# A filter whose channels are of unlike sizes: one scale for all leaves nothing of the first.
UNLIKE = (np.eye(4)[:, :, None, None] * np.array([0.01, 1, 1, 40])[:, None, None, None]).astype(np.float32)


def between(clamp: str, end: str = "[last] y = Conv (c, v)", held: str = "Conv (a, d)") -> ir.Model:
    text = f"[first] a = Conv (x, w) [held] b = {held} {clamp} {end}"
    eye = np.eye(4, dtype=np.float32)[:, :, None, None]
    return prepare(build(f"g (float[1,4,4,4] x) => (float[1,4,4,4] y) {{ {text} }}", w=eye, d=UNLIKE, v=eye))


@pytest.mark.parametrize(
    ("clamp", "end", "fenced"),
    [
        ("[clamp] c = Relu (b)", "[last] y = Conv (c, v)", True),
        ("[clamp] c = Identity (b)", "[last] y = Conv (b, v)", True),
        ("[clamp] c = Tanh (b)", "[last] y = Conv (c, v)", False),  # floats are read
        ("[clamp] c = Relu (b)", "[side] t = Tanh (c) [last] s = Conv (c, v) [sum] y = Mul (s, t)", True),
        ("[clamp] c = Relu (b)", "[side] t = Tanh (b) [last] s = Conv (c, v) [sum] y = Mul (s, t)", False),
    ],
)
def test_which_need_a_fence(clamp: str, end: str, fenced: bool) -> None:
    model = between(clamp, end)
    assert plan(model, get_target("generic"), HELD).fenced == ({"held"} if fenced else set())
    assert plan(model, get_target("openvino-vnni"), HELD).fenced == set()
    assert plan(model, get_target("generic"), Recipe()).fenced == set()


@X86
@pytest.mark.parametrize("clamp", ["Relu", "Clip"])
@pytest.mark.parametrize("fence", [False, True])
def test_the_runtime_quantizes_weights_by_itself(clamp: str, fence: bool) -> None:
    g = Graph(1, 4, 8, 8)
    x = g.quantized("x")
    y = g.add("Conv", [x, g.constant("d", UNLIKE), g.constant("b", np.zeros(4, np.float32))], "held")
    y = g.add("LeakyRelu", [y], "fence", alpha=1.0) if fence else y
    limits = [g.constant("low", np.float32(-1)), g.constant("high", np.float32(1))] if clamp == "Clip" else []
    model = g.model(g.quantized(g.add(clamp, [y, *limits], "clamp"), 0.001, 128 if clamp == "Clip" else 0))
    assert (error_in_lsb(ORT, model, 0.001) > 2) is not fence
    fused = [row.name for row in ORT.executed(model) if "fence" in row.sources]
    assert not fence or fused == ["held"]


@pytest.mark.parametrize("clamp", ["[clamp] c = Relu (b)", "[clamp] c = Identity (b)"])
def test_a_model_runs_as_it_is_simulated(clamp: str) -> None:
    model = between(clamp, "[last] y = Conv (c, v)" if "Relu" in clamp else "[last] y = Conv (b, v)")
    samples = [np.random.default_rng(i).normal(size=(1, 4, 4, 4)).astype(np.float32) for i in range(4)]
    made = tinyint.quantize(model, samples, recipe=HELD, target=ORT_TARGET, run=tinyint.Run(threads=1))
    names = [node.name for node in made.model.graph]
    assert "held/fence" in names
    assert "clamp" not in names  # a LeakyRelu of slope 0 stands for it
    assert [node.name for node in made.report.coverage.float_nodes] == ["held"]
    assert made.report.verification is not None
    assert made.report.verification.lsb_max is not None
    assert made.report.verification.lsb_max < 1.01
