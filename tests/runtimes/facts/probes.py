"""What the runtimes are asked about a small Q/DQ graph, and the graphs that several families of operators share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.runtimes.graphs import SCALE, Graph
from tinyint.runtimes import get_runtime
from tinyint.runtimes.base import Executed, Runtime

ORT = get_runtime("onnxruntime")
OPENVINO = get_runtime("openvino")
BOTH = [pytest.param(ORT, id="onnxruntime"), pytest.param(OPENVINO, id="openvino")]


def nodes(runtime: Runtime, model: bytes) -> dict[str, Executed]:
    """The executed node that stands for each source node."""
    return {source: row for row in runtime.executed(model) for source in row.sources}


def in_int8(runtime: Runtime, model: bytes, names: Sequence[str]) -> list[str]:
    found = nodes(runtime, model)
    return [name for name in names if name in found and found[name].int8]


def error_in_lsb(runtime: Runtime, model: bytes, lsb: float = SCALE) -> float:
    """The largest distance to the op-by-op simulation."""
    simulated = ORT.open(model, threads=1, optimize=False)
    shape = [dim or 1 for dim in simulated.inputs[0].shape]
    feeds = {"x": np.random.default_rng(1).uniform(-6, 6, shape).astype(np.float32)}
    expected, got = simulated.run(feeds), runtime.open(model, threads=1).run(feeds)
    assert all(np.ptp(values) > 10 * lsb for values in expected.values()), "the test's own values say nothing"
    return max(float(np.abs(got[name] - expected[name]).max()) / lsb for name in expected)


def after_conv(
    op: str, scale: float = SCALE, zero_point: int = 128, dtype: str = "uint8", **attributes: object
) -> bytes:
    """conv, then `op` without Q/DQ between them, then Q/DQ."""
    g = Graph(1, 16, 8, 8)
    limits = [g.constant("low", np.float32(0)), g.constant("high", np.float32(6))] if op == "Clip" else []
    y = g.add(op, [g.conv(g.quantized("x"), "a", 16, 16), *limits], "op", **attributes)
    return g.model(g.quantized(y, scale, zero_point, dtype))
