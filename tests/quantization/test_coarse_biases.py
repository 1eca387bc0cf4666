"""Biases below the steps of the sums that they are added to: such nodes stay in float, and no others."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

import tinyint
from tests.graph.build import build
from tests.quantization.test_qparams import record_of
from tinyint import qat
from tinyint.graph.prepare import prepare
from tinyint.quantization.coarse_biases import coarse_biases
from tinyint.quantization.plan import plan
from tinyint.quantization.qparams import assign_qparams
from tinyint.quantization.ranges import RangeMethod
from tinyint.quantization.recipe import Recipe
from tinyint.targets import get_target

TARGET = get_target("x86-vnni")
# Of inputs up to 255 and weights up to 127, the sums go by steps of 1 · 1, to which the bias is rounded.
WEIGHT = np.float32([[127, 0], [0, 127]])
CONV = "[a] y = Conv(x,w,b)"
MATMUL = "[a] m = MatMul(x,w) [plus] p = Add(m,b) [relu] y = Relu(p)"


def coarse(nodes: str, bias: tuple[float, float], highest: float) -> dict[str, str]:
    """What is held of a model whose results are between 0 and `highest`."""
    image = "Conv" in nodes
    kind = "float[N,2,3,3]" if image else "float[N,2]"
    weight = WEIGHT[..., None, None] if image else WEIGHT
    model = prepare(build(f"g ({kind} x) => ({kind} y) {{ {nodes} }}", w=weight, b=np.float32(bias)))
    record = record_of(model, x=(0.0, 255.0), y=(0.0, highest))
    planned = plan(model, TARGET, Recipe.load("default"), record)
    assignment = assign_qparams(model, planned, record, RangeMethod(algorithm="minmax"))
    assert planned.bias_weights
    return coarse_biases(model, planned, record, assignment)


@pytest.mark.parametrize("nodes", [CONV, MATMUL])
@pytest.mark.parametrize(
    ("bias", "highest", "held"),
    [
        ((0.4, 10.0), 25.5, True),  # 0.4 becomes 0, in results of 255 steps of 0.1
        ((-10.0, 0.6), 25.5, True),  # 0.6 becomes 1
        ((0.4, 10.0), 100.0, True),  # steps of 0.39
        ((0.4, 10.0), 104.0, False),  # steps of 0.41
        ((2.0, 10.0), 25.5, False),  # nothing is lost of whole steps
        ((0.4, 10.0), 0.0, False),  # of results that are 0 there is nothing to tell
    ],
)
def test_a_bias_that_loses_more_than_a_step_of_the_result(
    nodes: str, bias: tuple[float, float], highest: float, held: bool
) -> None:
    assert list(coarse(nodes, bias, highest)) == (["a"] if held else [])


def test_the_reason_tells_the_loss() -> None:
    assert coarse(CONV, (0.4, 10.0), 25.5)["a"].startswith("its bias would be off by 0.4, more than 1/255 of")


def in_padding() -> ir.Model:
    """A convolution whose one window lies in the padding, beside an ordinary one; the inputs are large."""
    text = """
        g (float[N,16,1] x) => (float[N,8,1] y, float[N,8,1] z)
        { [outside] y = Conv<pads=[1,0],strides=[3]>(x,v,b) [inside] z = Conv(x,v,b) }"""
    return build(text, v=(8, 16, 1), b=np.linspace(-0.1, 0.1, 8, dtype=np.float32))


def samples() -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [{"x": rng.normal(0, 1000, (1, 16, 1)).astype(np.float32)} for _ in range(8)]


@pytest.mark.parametrize("target", ["x86-vnni", "openvino", "arm64"])
def test_where_windows_lie_in_padding_the_bias_comes_out_as_it_is(target: str) -> None:
    result = tinyint.quantize(in_padding(), samples(), target=target)
    reasons = {node.name: node.reason for node in result.report.coverage.float_nodes}
    assert "its bias would be off by" in reasons["outside"]
    assert "inside" not in reasons
    assert result.report.verification is not None
    assert result.report.verification.output_sqnr_db["y"] > 100


def test_training_leaves_the_same_node_in_float() -> None:
    module = qat.prepare(in_padding(), samples(), target="x86-vnni")
    assert "its bias would be off by" in module.origin.plan.float_nodes["outside"]
    assert "inside" in module.origin.plan.int8_nodes
