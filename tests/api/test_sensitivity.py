"""The verb `sensitivity` in Python."""

from __future__ import annotations

import numpy as np
import pytest

import tinyint
from tests.diagnosis.test_sensitivity import net, quantized, samples
from tests.graph.build import build
from tinyint.errors import ModelError, TinyintError

DATA = [sample.inputs for sample in samples()]


FLOAT = """g (float[1,4,8,8] x) => (float[1,8,8,8] y) {
    [c] a = Conv(x, w)  [bn] y = BatchNormalization(a, gain, zeros, zeros, ones) }"""
INT8 = """g (float[1,4,8,8] x) => (float[1,8,8,8] y)
    <float s = {0.03}, uint8 z = {128}, float sw = {0.03}, int8 zw = {0}> {
    x_q = QuantizeLinear(x, s, z)  x_dq = DequantizeLinear(x_q, s, z)
    w_dq = DequantizeLinear(w_q, sw, zw)
    [c] a = Conv(x_dq, w_dq)  [bn] y = BatchNormalization(a, gain, zeros, zeros, ones) }"""


def test_batch_norms_that_another_tool_has_left_apart_are_told() -> None:
    weight = np.random.default_rng(3).normal(size=(8, 4, 1, 1)).astype(np.float32)
    norm = {
        "gain": np.full(8, 0.1, np.float32),
        "zeros": np.zeros(8, np.float32),
        "ones": np.ones(8, np.float32),
    }
    codes = np.clip(np.round(weight / 0.03), -127, 127).astype(np.int8)
    found = tinyint.sensitivity(build(FLOAT, w=weight, **norm), build(INT8, w_q=codes, **norm), DATA)
    assert found.total_db > 20.0
    assert "1 unit ('c' the first) err far more alone" in found.notices[0]
    assert tinyint.sensitivity(net(), quantized(net()), DATA).notices == ()


def test_a_model_of_another_float_model_is_refused() -> None:
    with pytest.raises(ModelError, match="the second model is not quantized"):
        tinyint.sensitivity(net(), net(), DATA)


def test_an_option_without_use_is_refused() -> None:
    with pytest.raises(TinyintError, match="sensitivity has no use for Run"):
        tinyint.sensitivity(net(), quantized(net()), DATA, run=tinyint.Run(batch_size=2))


def test_costs_are_left_out_where_the_target_does_not_run() -> None:
    int8 = quantized(net())
    int8.metadata_props["tinyint.target"] = "tensorrt"
    found = tinyint.sensitivity(net(), int8, DATA)
    assert found.runtime == ""
    assert all(row.cost is None and row.in_float_ms is None for row in found.rows)
    assert "tensorrt does not run here" in found.notices[0]
