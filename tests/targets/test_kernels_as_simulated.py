"""End to end on this machine's runtimes: where an int8 kernel is wrong, what is written computes what was simulated."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

import tinyint
from tests.graph.build import build
from tests.processor import ORT_TARGET, OWN, X86
from tinyint.proof import Report

SAME = "kernel_shape=[3,3],pads=[1,1,1,1]"
POOLS = {
    "dilations": "kernel_shape=[2,2],dilations=[2,2]",
    "dilations and padding": f"{SAME},dilations=[2,1]",
    "ceil_mode": "kernel_shape=[3,3],strides=[2,2],ceil_mode=1",
    "ceil_mode, counted": "kernel_shape=[3,3],strides=[2,2],ceil_mode=1,count_include_pad=1",
    "padding counted": f"{SAME},count_include_pad=1",
    "padding on one side": "kernel_shape=[3,3],pads=[0,2,1,0]",
    "whole image": "kernel_shape=[9,8]",
}
ROUNDED_UP = "kernel_shape=[2,2],pads=[0,1,0,0],strides=[2,2],ceil_mode=1,count_include_pad=1"
FORK = {
    "float": "[p] e = Erf(c) [q] m = Mul(c,e)",
    "the graph's end": "[p] m = Identity(c)",
    "a view of it": "[t] u = Transpose<perm=[0,1,3,2]>(c) [p] e = Erf(u) [q] m = Mul(u,e)",
}


def pooled(attributes: str) -> ir.Model:
    """A gate, so that values are of both signs and bytes reach the pool."""
    text = (
        "g (float[N,3,9,8] x) => (float[N,4,h,w] y) { [a] c = Conv(x,v,s) [s] e = Sigmoid(c) [gate] m = Mul(c,e) "
        f"[pool] p = AveragePool<{attributes}>(m) [b] y = Conv(p,w,t) }}"
    )
    return build(text, 19, v=(5, 3, 1, 1), s=(5,), w=(4, 5, 1, 1), t=(4,))


def forked(rest: str, batch: str) -> ir.Model:
    """Two read `c`: a quantizer, and what gives `m`."""
    text = (
        f"g (float[{batch},3,8,8] x) => (float[{batch},4,8,8] y, float[{batch},6,8,8] m) "
        f"{{ [a] c = Conv<pads=[1,1,1,1]>(x,v) {rest} [b] y = Conv(c,w,t) }}"
    )
    return build(text, v=(6, 3, 3, 3), w=(4, 6, 1, 1), t=(4,))


def quantized(model: ir.Model, target: str) -> Report:
    size = [dim if isinstance(dim, int) else 1 for dim in model.graph.inputs[0].shape or ()]
    data = np.random.default_rng(0).normal(size=(32, *size)).astype(np.float32)
    return tinyint.quantize(model, tinyint.Samples(data, limit=24), target=target).report


def assert_as_simulated(report: Report) -> None:
    found = report.verification
    assert found is not None
    assert found.simulated_sqnr_db > 20
    assert found.sqnr_db > found.simulated_sqnr_db - 1.0


@pytest.mark.parametrize("target", OWN)
@pytest.mark.parametrize("pool", POOLS)
def test_pools(pool: str, target: str) -> None:
    assert_as_simulated(quantized(pooled(POOLS[pool]), target))


@X86
def test_padding_that_counts_under_ceil_mode() -> None:
    """On ONNX Runtime: OpenVINO averages otherwise in float, too."""
    assert_as_simulated(quantized(pooled(ROUNDED_UP), ORT_TARGET))


@pytest.mark.parametrize("target", OWN)
@pytest.mark.parametrize("batch", ["N", "1"])
@pytest.mark.parametrize("rest", FORK)
def test_convolutions_without_a_bias_that_several_read(rest: str, batch: str, target: str) -> None:
    assert_as_simulated(quantized(forked(FORK[rest], batch), target))


@X86
def test_pools_by_openvinos_kernels_for_avx2() -> None:
    """Which for few elements are not those that this processor has."""
    code = (
        "from tests.targets.test_kernels_as_simulated import *\n"
        "for name in POOLS: assert_as_simulated(quantized(pooled(POOLS[name]), 'openvino-avx2'))"
    )
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
