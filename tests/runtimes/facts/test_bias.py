"""What OpenVINO makes of a convolution without a bias whose result several read, where a size is open (2026.4.1)."""

from __future__ import annotations

import numpy as np
import pytest

from tests.processor import X86
from tests.runtimes.facts.probes import BOTH, OPENVINO, ORT
from tests.runtimes.graphs import Graph
from tinyint.runtimes.base import Runtime
from tinyint.runtimes.host import host

pytestmark = X86

NEXT_TO_NOTHING = 1e-30
ORDINARY = [None, 0.0]


def forked(
    op: str, bias: float | None, *, rank: int = 2, group: int = 1, sizes: str = "batch", beside: str = "float"
) -> bytes:
    """Bytes through `op` to a quantizer, "q", and to another reader: float, a second quantizer, or the graph's end."""
    opened = {"fixed": (2, 8), "batch": ("N", 8), "image": (2, "s"), "both": ("N", "s")}[sizes]
    image = (opened[1],) * rank if rank else ()
    g = Graph(opened[0], 16, *image)
    x = g.quantized("x", zero_point=0)
    how = {"group": group} if rank else {}
    shape = (16, 16 // group, *[3] * rank)
    inputs = [x, g.weight("w", shape, axis=0 if op == "Conv" else 1)]
    if bias is not None:
        inputs.append(g.constant("b", np.full(16, bias, np.float32)))
    y = g.add(op, inputs, "a", **how)
    quantized = g.quantized(y, 0.1)
    others = {"float": lambda: g.add("Tanh", [y], "other"), "bytes": lambda: g.quantized(y, 0.1, tag="_too")}
    return g.model(quantized, y if beside == "end" else others[beside]())


def off(runtime: Runtime, model: bytes) -> float:
    """Of all that the quantizer gives, the share that is more than a step from the simulation."""
    simulated, session = ORT.open(model, threads=1, optimize=False), runtime.open(model, threads=1)
    shape = [size or 8 for size in session.inputs[0].shape]
    shape[0] = 2
    feeds = {"x": np.random.default_rng(1).uniform(0, 6, shape).astype(np.float32)}
    name = "a_out_dq"
    expected, got = simulated.run(feeds)[name], session.run(feeds)[name]
    assert np.ptp(expected) > 2
    return float((np.abs(got - expected) > 0.11).mean())


CONVOLUTIONS = [
    pytest.param(op, rank, group, id=f"{op} of rank {rank}, {group} groups")
    for op in ("Conv", "ConvTranspose")
    for rank in (1, 2, 3)
    for group in ((1, 4, 16) if op == "Conv" else (1,))
]


@pytest.mark.parametrize(("op", "rank", "group"), CONVOLUTIONS)
@pytest.mark.parametrize("sizes", ["batch", "image", "both"])
@pytest.mark.parametrize("beside", ["float", "end"])
def test_the_quantizer_gives_zeros_without_a_bias(
    op: str, rank: int, group: int, sizes: str, beside: str
) -> None:
    how = {"rank": rank, "group": group, "sizes": sizes, "beside": beside}
    right = op == "ConvTranspose" and not host().has_avx512  # whose kernel of AVX2 is another one
    for bias in ORDINARY:
        assert (off(OPENVINO, forked(op, bias, **how)) > 0.5) is not right
    assert off(OPENVINO, forked(op, NEXT_TO_NOTHING, **how)) <= 0.001


@pytest.mark.parametrize(("op", "rank", "group"), CONVOLUTIONS)
@pytest.mark.parametrize(("sizes", "beside"), [("fixed", "float"), ("fixed", "end"), ("batch", "bytes")])
def test_all_is_well_with_fixed_sizes_or_quantizers_alone(
    op: str, rank: int, group: int, sizes: str, beside: str
) -> None:
    model = forked(op, None, rank=rank, group=group, sizes=sizes, beside=beside)
    assert off(OPENVINO, model) <= 0.001


@pytest.mark.parametrize("op", ["Gemm", "MatMul"])
@pytest.mark.parametrize("beside", ["float", "end"])
def test_products_of_matrices_need_no_bias(op: str, beside: str) -> None:
    assert off(OPENVINO, forked(op, None, rank=0, beside=beside)) <= 0.001


@pytest.mark.parametrize("runtime", BOTH)
def test_next_to_nothing_adds_nothing(runtime: Runtime) -> None:
    """To the bit, beside no bias where that is right: with fixed sizes."""
    feeds = {"x": np.random.default_rng(1).uniform(0, 6, (2, 16, 8, 8)).astype(np.float32)}
    without, with_one = (
        runtime.open(forked("Conv", bias, sizes="fixed"), threads=1).run(feeds)
        for bias in (None, NEXT_TO_NOTHING)
    )
    for name, values in without.items():
        np.testing.assert_array_equal(with_one[name], values)
