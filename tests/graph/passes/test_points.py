"""A second place of zeros for kernels of one under strides and padding."""

from __future__ import annotations

import numpy as np
import pytest

from tests.graph.build import build
from tests.processor import X86
from tinyint.graph.passes.points import widen_points
from tinyint.graph.prepare import prepare
from tinyint.graph.walk import constant_of
from tinyint.runtimes import get_runtime

PADDED = "strides=[2,2],pads=[1,0,1,1]"


def network(attributes: str, kernel: tuple[int, ...] = (1, 1), group: int = 1):
    text = (
        f"g (float[1,4,5,6] x) => (float[1,4,h,w] y) {{ r = Relu(x) [point] y = Conv<{attributes}>(r, w) }}"
    )
    return build(text, 17, w=(4, 4 // group, *kernel))


def test_the_weight_and_the_padding_grow_at_the_end() -> None:
    model = network(f"{PADDED},dilations=[1,3],kernel_shape=[1,1]")
    (before,) = (constant_of(node.inputs[1]) for node in model.graph if node.op_type == "Conv")
    widen_points(model)
    point = next(node for node in model.graph if node.op_type == "Conv")
    after = constant_of(point.inputs[1])
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(after, np.concatenate([before, 0 * before], axis=3))
    assert {name: list(a.as_ints()) for name, a in point.attributes.items()} == {
        "strides": [2, 2], "pads": [1, 0, 1, 2], "kernel_shape": [1, 2]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("attributes", "kernel", "group"),
    [
        ("strides=[2,2]", (1, 1), 1),
        ("pads=[1,1,1,1]", (1, 1), 1),
        ("strides=[2,2],pads=[1,1,1,1]", (1, 2), 1),
        ("strides=[2,2],pads=[1,1,1,1],group=2", (1, 1), 2),
    ],
)
def test_others_stay(attributes: str, kernel: tuple[int, int], group: int) -> None:
    model = prepare(network(attributes, kernel, group))
    (weight,) = (constant_of(node.inputs[1]) for node in model.graph if node.op_type == "Conv")
    assert weight is not None
    assert weight.shape[2:] == kernel


@pytest.mark.parametrize("runtime", ["onnxruntime", pytest.param("openvino", marks=X86)])
def test_it_computes_the_same_on_every_runtime(runtime: str) -> None:
    x = {"x": np.random.default_rng(0).normal(size=(1, 4, 5, 6)).astype(np.float32)}
    model = network(PADDED)
    (expected,) = get_runtime("onnxruntime").open(model, optimize=False).run(x).values()
    (found,) = get_runtime(runtime).open(prepare(model)).run(x).values()
    assert expected.shape == (1, 4, 4, 4)
    np.testing.assert_allclose(found, expected, atol=1e-5)
