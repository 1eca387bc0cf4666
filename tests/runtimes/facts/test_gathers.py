"""What OpenVINO 2026.4.1 makes of a Gather after arithmetic with constants, beside quantizers.

In a process of its own, which it may end.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.graph.build import build
from tests.processor import X86
from tinyint.runtimes.apart import Apart, Failure

pytestmark = X86

VECTOR, MATRIX, NUMBER = np.int64([0, 1]), np.int64([[0, 1], [1, 0]]), np.int64(1)
CHANNELS, ONE = np.linspace(0.5, 2, 8, dtype=np.float32).reshape(1, 8, 1, 1), np.float32(2)
ENDED, REFUSED, RUNS = Failure.ENDED, Failure.REFUSED, None


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    opened = Apart("openvino")
    yield opened
    opened.end()


def outcome(apart: Apart, nodes: str, indices: np.ndarray, constant: np.ndarray) -> Failure | None:
    """`nodes` make y of c, beside a convolution between quantizers."""
    model = build(
        f"""g (float[1,16,4,1] x, float[1,8,4,2] c) => (float[] y, float[] z) {{
            q = QuantizeLinear(x,s,zp) d = DequantizeLinear(q,s,zp)
            v = DequantizeLinear(w,s) z = Conv(d,v) {nodes} }}""",
        s=np.float32(0.05), zp=np.uint8(128), w=np.ones((8, 16, 4, 1), np.int8), i=indices, o=constant,
    )  # fmt: skip
    feeds = {"x": np.ones((1, 16, 4, 1), np.float32), "c": np.ones((1, 8, 4, 2), np.float32)}
    found = apart.run_all(model, 1, [feeds], 100)
    return found if isinstance(found, Failure) else None


@pytest.mark.parametrize(
    ("nodes", "indices", "constant", "expected"),
    [
        ("k = Sub(o,c) y = Gather<axis=3>(k,i)", MATRIX, CHANNELS, ENDED),
        ("k = Sub(o,c) y = Gather<axis=3>(k,i)", NUMBER, CHANNELS, ENDED),
        ("k = Sub(o,c) y = Gather<axis=3>(k,i)", VECTOR, CHANNELS, RUNS),
        ("k = Sub(o,c) y = Gather<axis=3>(k,i)", MATRIX, ONE, RUNS),
        ("k = Sub(c,o) y = Gather<axis=3>(k,i)", MATRIX, CHANNELS, RUNS),
        ("k = Add(o,c) y = Gather<axis=3>(k,i)", MATRIX, CHANNELS, RUNS),
        ("k = Mul(o,c) y = Gather<axis=3>(k,i)", MATRIX, CHANNELS, REFUSED),
        ("k = Div(c,o) y = Gather<axis=3>(k,i)", MATRIX, CHANNELS, REFUSED),
        ("k = Mul(o,c) a = Add(k,o) y = Gather<axis=3>(a,i)", MATRIX, CHANNELS, REFUSED),
        ("k = Sub(o,c) t = Transpose<perm=[0,1,3,2]>(k) y = Gather<axis=3>(t,i)", MATRIX, CHANNELS, ENDED),
        ("k = Sub(o,c) t = Relu(k) y = Gather<axis=3>(t,i)", MATRIX, CHANNELS, RUNS),
        ("k = Sub(o,c) f = Max(k,k) y = Gather<axis=3>(f,i)", MATRIX, CHANNELS, RUNS),
        ("k = Mul(o,c) f = Max(k,k) y = Gather<axis=3>(f,i)", MATRIX, CHANNELS, RUNS),
    ],
)  # fmt: skip
def test_a_gather_after_arithmetic_with_constants(
    apart: Apart, nodes: str, indices: np.ndarray, constant: np.ndarray, expected: Failure | None
) -> None:
    assert outcome(apart, nodes, indices, constant) is expected


WEIGHTS, PLACES = np.random.default_rng(0).integers(-90, 90, (16, 4)).astype(np.int8), (3, 16)
SCALES = {"per_tensor": np.float32(0.005), "per_channel": np.linspace(1e-3, 1e-2, 4, dtype=np.float32)}


@pytest.mark.parametrize(
    ("granularity", "indices", "between", "expected"),
    [
        ("per_tensor", VECTOR, "", ENDED),
        ("per_tensor", MATRIX, "", ENDED),
        ("per_tensor", NUMBER, "", ENDED),
        ("per_tensor", NUMBER, "f = Max(k,k)", (4,)),
        ("per_channel", VECTOR, "", (2, 4)),
        ("per_channel", MATRIX, "", (2, 2, 4)),
        ("per_channel", NUMBER, "", (1, 4)),  # ONNX has (4,)
        ("per_channel", NUMBER, "f = Max(k,k)", (4,)),
    ],
)  # fmt: skip
def test_a_gather_of_rows_of_an_int8_product(
    apart: Apart, granularity: str, indices: np.ndarray, between: str, expected: Failure | tuple[int, ...]
) -> None:
    axis = "<axis=1>" if granularity == "per_channel" else ""
    model = build(
        f"""g (float[3,16] x) => (float[] y) {{
            q = QuantizeLinear(x,s,zp) d = DequantizeLinear(q,s,zp) v = DequantizeLinear{axis}(w,r) k = MatMul(d,v)
            {between} y = Gather<axis=0>({"f" if between else "k"},i) }}""",
        s=np.float32(0.05), zp=np.uint8(128), w=WEIGHTS, r=SCALES[granularity], i=indices,
    )  # fmt: skip
    found = apart.run_all(model, 1, [{"x": np.ones(PLACES, np.float32)}], 100)
    assert (found if isinstance(found, Failure) else found[0]["y"].shape) == expected
