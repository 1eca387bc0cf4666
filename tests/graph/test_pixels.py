"""Which tensors are bytes less a zero-point."""

import numpy as np
import pytest

from tests.graph.build import build
from tinyint.graph.passes.shapes import infer_shapes
from tinyint.graph.pixels import pixel_range

ONE, Z = np.array(1, np.float32), np.array(116, np.uint8)


def found(
    nodes: str, last: str, x: str = "uint8[1,4,4,3]", **weights: np.ndarray
) -> tuple[float, float] | None:
    model = build(f"g ({x} x) => (float[N] y) {{ {nodes} y = Flatten ({last}) }}", **weights)
    infer_shapes(model)
    value = next(v for node in model.graph for v in node.outputs if v.name == last)
    return pixel_range(value)


@pytest.mark.parametrize(
    "moved",
    [
        "a = Identity (x) d = DequantizeLinear (x, s, z)",
        "a = Transpose <perm = [0, 3, 1, 2]> (x) d = DequantizeLinear (a, s, z)",
        "a = Pad (x, p, z) d = DequantizeLinear (a, s, z)",
    ],
)
def test_dequantized_bytes(moved: str):
    pads = np.array([0] * 7 + [1], np.int64)
    assert found(moved, "d", s=ONE, z=Z, p=pads) == (-116.0, 139.0)


def test_of_a_scale_that_rounds_nothing():
    assert found("d = DequantizeLinear (x, s, z)", "d", s=np.array(1 / 64, np.float32), z=Z) == (
        -116 / 64,
        139 / 64,
    )


def test_bytes_that_are_cast():
    nodes = "a = Cast <to = 1> (x) b = Transpose <perm = [0, 3, 1, 2]> (a) d = Sub (b, m)"
    assert found(nodes, "d", m=np.array(128, np.float32)) == (-128.0, 127.0)


@pytest.mark.parametrize(
    ("nodes", "x", "weights"),
    [
        ("d = DequantizeLinear (x, s, z)", "uint8[1,4,4,3]", {"s": np.array(0.3, np.float32), "z": Z}),
        ("d = DequantizeLinear (x, s, z)", "int8[1,4,4,3]", {"s": ONE, "z": np.array(0, np.int8)}),
        ("d = DequantizeLinear (w, s, z) a = Identity (x)", "uint8[2]", {"w": np.ones(3, np.uint8), "s": ONE, "z": Z}),
        ("a = Cast <to = 1> (x) d = Sub (a, m)", "uint8[1,4,4,3]", {"m": np.array(127.5, np.float32)}),
        ("a = Cast <to = 1> (x) d = Sub (a, m)", "int32[1,4,4,3]", {"m": np.array(127, np.float32)}),
        ("a = Cast <to = 1> (x) d = Sub (a, m)", "uint8[1,4,4,3]", {"m": np.array([1, 2, 3], np.float32)}),
        ("d = Sub (x, m)", "float[1,4,4,3]", {"m": np.array(127, np.float32)}),
    ],
    ids=["another scale", "signed", "a constant", "half a pixel", "integers", "by channel", "floats"],
)  # fmt: skip
def test_other_tensors(nodes: str, x: str, weights: dict[str, np.ndarray]):
    assert found(nodes, "d", x, **weights) is None
