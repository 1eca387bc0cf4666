"""Which windows the int8 kernels of pools take, and which they average otherwise than ONNX says.

What depends on the instruction set runs in a process of its own: OpenVINO's kernels are held to AVX2 there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.processor import X86
from tests.runtimes.facts.probes import BOTH, OPENVINO, ORT, error_in_lsb, in_int8
from tests.runtimes.graphs import SCALE, Graph
from tinyint.errors import ModelError
from tinyint.runtimes.base import Runtime
from tinyint.runtimes.host import host

pytestmark = X86


def pooled(
    shape: tuple[int, ...],
    op: str = "AveragePool",
    *,
    scale: float = SCALE,
    fenced: bool = False,
    axes: object = None,
    **attributes: Any,
) -> bytes:
    """Quantized codes, the pool, and a quantizer after it, or none if the pool only moves values."""
    g = Graph(*shape)
    x = g.quantized(g.add("MaxPool", [g.quantized("x")], "before", kernel_shape=[1] * (len(shape) - 2)))
    if fenced:
        x = g.add("Max", [x, x], "fence")
    inputs = [x] if axes is None else [x, g.constant("axes", axes)]
    y = g.add(op, inputs, "op", **attributes)
    return g.model(y if "Max" in op else g.quantized(y, scale), opset=19)


def off(runtime: Runtime, model: bytes) -> float:
    """The largest distance to the simulation over images of several levels, in LSB, of results of any size."""
    simulated, session = ORT.open(model, threads=1, optimize=False), runtime.open(model, threads=1)
    shape = [dim or 1 for dim in session.inputs[0].shape]
    rng, found = np.random.default_rng(1), 0.0
    for level in (-4, -1, 2, 4):
        feeds = {"x": (level + rng.uniform(-2, 2, shape)).astype(np.float32)}
        (expected,), (got,) = simulated.run(feeds).values(), session.run(feeds).values()
        found = max(found, float(np.abs(got - expected).max()) / SCALE)
    return found


def stands_out(size: int, kernel: int, stride: int, begin: int, end: int) -> bool:
    """Whether the last window under ceil_mode ends after the padding; one that would begin there does not count."""
    windows = -(-(size + begin + end - kernel) // stride) + 1
    windows -= (windows - 1) * stride >= size + begin
    return (windows - 1) * stride + kernel > size + begin + end


class TestOnnxRuntime:
    @pytest.mark.parametrize("rank", [1, 2, 3])
    @pytest.mark.parametrize("pads", [(0, 0), (1, 1), (0, 1), (2, 0)])
    def test_wrong_are_windows_that_stand_out_where_padding_counts(
        self, rank: int, pads: tuple[int, int]
    ) -> None:
        for kernel, stride, size, ceil, counted in product((2, 3, 4), (1, 2, 3), (6, 7), (0, 1), (0, 1)):
            if max(pads) >= kernel:
                continue
            model = pooled(
                (1, 4, *[size] * rank),
                kernel_shape=[kernel] * rank,
                strides=[stride] * rank,
                pads=[pads[0]] * rank + [pads[1]] * rank,
                ceil_mode=ceil,
                count_include_pad=counted,
            )
            wrong = bool(ceil and counted and stands_out(size, kernel, stride, *pads))
            assert (off(ORT, model) > 1.01) is wrong, (kernel, stride, size, ceil, counted)
            assert in_int8(ORT, model, ["op"]) == ["op"]

    def test_dilations_between_quantizers_do_not_load(self) -> None:
        with pytest.raises(ModelError, match="dilations"):
            ORT.open(pooled((1, 4, 8, 8), kernel_shape=[2, 2], dilations=[2, 2]))

    @pytest.mark.parametrize("automatic", ["SAME_UPPER", "SAME_LOWER", "VALID"])
    @pytest.mark.parametrize("counted", [0, 1])
    def test_automatic_padding_is_right(self, automatic: str, counted: int) -> None:
        how = {"kernel_shape": [3, 2], "auto_pad": automatic, "count_include_pad": counted}
        assert error_in_lsb(ORT, pooled((1, 4, 8, 7), strides=[2, 3], **how)) <= 1.01


class TestOpenVINO:
    @pytest.mark.parametrize("rank", [1, 2, 3])
    @pytest.mark.parametrize("pads", [(0, 0), (1, 1), (0, 1), (2, 0)])
    @pytest.mark.parametrize("counted", [0, 1])
    def test_padding_that_counts_is_taken_for_bytes_of_0(
        self, rank: int, pads: tuple[int, int], counted: int
    ) -> None:
        for kernel, stride in product((3, 4), (1, 2)):
            model = pooled(
                (1, 16, *[8] * rank),
                kernel_shape=[kernel] * rank,
                strides=[stride] * rank,
                pads=[pads[0]] * rank + [pads[1]] * rank,
                count_include_pad=counted,
            )
            assert in_int8(OPENVINO, model, ["op"]) == ["op"]
            last = (8 + sum(pads) - kernel) // stride * stride
            padded = pads[0] > 0 or last + kernel > 8 + pads[0]
            assert (off(OPENVINO, model) > 10) is bool(counted and padded)

    @pytest.mark.parametrize("windows", [{"dilations": [2, 2]}, {"ceil_mode": 1, "strides": [2, 2]}])
    def test_dilations_and_sizes_that_are_rounded_up_run_in_float(self, windows: dict[str, Any]) -> None:
        model = pooled((1, 16, 9, 8), kernel_shape=[3, 3], **windows)
        assert in_int8(OPENVINO, model, ["op"]) == []
        assert error_in_lsb(OPENVINO, model) <= 1.01

    def test_padding_that_counts_under_ceil_mode_is_another_average_in_float_too(self) -> None:
        """Windows that stand out of the padding are divided by the whole kernel; nothing here is quantized."""
        g = Graph(1, 1, 8)
        how = {"kernel_shape": [2], "strides": [2], "pads": [1, 0], "ceil_mode": 1, "count_include_pad": 1}
        model = g.model(g.add("AveragePool", ["x"], "op", **how), opset=19)
        feeds = {"x": np.arange(8, dtype=np.float32).reshape(1, 1, 8)}
        for runtime, last in ((ORT, 7.0), (OPENVINO, 3.5)):
            (y,) = runtime.open(model, threads=1).run(feeds).values()
            np.testing.assert_array_equal(y, [[[0.0, 1.5, 3.5, 5.5, last]]])

    @pytest.mark.parametrize("isa", ["AVX2", "AVX512_CORE"])
    def test_small_results_are_wrong_without_avx512(self, isa: str) -> None:
        """Below 16 elements, batch included, oneDNN takes its reference kernel for them, to which the step to another
        scale is lost: of 15 channels averaged over the whole image, say, however large."""
        wrong = {name for name, error in small_results(isa).items() if error > 3}
        few = {f"{shape} {size}" for shape in SHAPES for size in SIZES if shape[0] * shape[1] * size < 16}
        assert wrong == (few if isa == "AVX2" or not host().has_avx512 else set())

    @pytest.mark.parametrize("op", ["GlobalAveragePool", "ReduceMean", "GlobalMaxPool"])
    @pytest.mark.parametrize("channels", [1, 8, 15, 16])
    def test_windows_of_any_size_are_right_over_the_whole_image(self, op: str, channels: int) -> None:
        for size in (2, 7, 8, 9, 16, 65):
            model = pooled((2, channels, size, size), op, axes=[2, 3] if op == "ReduceMean" else None)
            assert off(OPENVINO, model) <= 1.01


SHAPES = ((1, 1), (1, 4), (1, 8), (1, 15), (1, 16), (1, 33), (2, 4), (2, 8), (3, 5))  # batch, channels
SIZES = (1, 2, 4, 15, 16)  # of the result


@cache
def small_results(isa: str) -> dict[str, float]:
    """The error of averages over windows of 2 that have these results, by kernels of no more than `isa`."""
    code = (
        "import json\n"
        "from tests.runtimes.facts.test_pools import *\n"
        "def error(shape, size):\n"
        "    return off(OPENVINO, pooled((*shape, 2 * size), scale=0.04, kernel_shape=[2], strides=[2]))\n"
        "print(json.dumps({f'{shape} {size}': error(shape, size) for shape in SHAPES for size in SIZES}))"
    )
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": isa}
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


class TestFence:
    """A pool that is wrong in int8 reads the larger of a tensor and itself, and so runs in float between quantizers."""

    @pytest.mark.parametrize("runtime", BOTH)
    @pytest.mark.parametrize(
        "windows",
        [
            {"dilations": [2, 2]},
            {"pads": [1, 1, 1, 1], "count_include_pad": 1},
            {"pads": [1, 1, 1, 1], "count_include_pad": 1, "ceil_mode": 1, "strides": [3, 3]},
        ],
    )
    def test_keeps_a_pool_in_float(self, runtime: Runtime, windows: dict[str, Any]) -> None:
        model = pooled((1, 5, 8, 8), fenced=True, kernel_shape=[3, 3], **windows)
        assert in_int8(runtime, model, ["op"]) == []
        assert error_in_lsb(runtime, model) <= 1.01
