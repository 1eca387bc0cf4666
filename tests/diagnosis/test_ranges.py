"""Histograms and ranges beside what codes hold, by hand."""

import numpy as np
import pytest

from tests.graph.build import build
from tinyint.diagnosis.matched import Matched
from tinyint.diagnosis.pairs import pair
from tinyint.diagnosis.ranges import tensor_ranges, weight_ranges
from tinyint.numbers.observers import Summary

FLOAT = "g (float[1,4] x) => (float[1,W] y) { [fc] y = MatMul(x, w) }"
INT8 = """g (float[1,4] x) => (float[1,W] y) <float s = {0.5}, uint8 z = {0}>
{ x_q = QuantizeLinear(x, s, z) x_dq = DequantizeLinear(x_q, s, z)
  w_dq = DequantizeLinear <axis = 1> (w_q, w_s) [fc] y = MatMul(x_dq, w_dq) }"""


def matched(weights: np.ndarray) -> Matched:
    scales = np.abs(weights).max(axis=0) / 127
    codes = np.rint(weights / scales).astype(np.int8)
    prepared = build(FLOAT, w=weights)
    int8 = build(INT8, w_q=codes, w_s=scales.astype(np.float32))
    return Matched(prepared=prepared, int8=int8, pairs=pair(prepared.graph, int8.graph))


def weights(channels: int = 3) -> np.ndarray:
    values = np.zeros((4, channels), np.float32)
    values[0], values[1] = -1.0 - np.arange(channels), 2.0 + np.arange(channels)
    return values


def seen(*values: float) -> Summary:
    summary = Summary()
    array = np.array(values, np.float32)
    summary.update(float(array.min()), float(array.max()), array, b"0" * 16)
    return summary


def test_codes_hold_and_calibration_saw():
    values = [-1.0, *np.linspace(0, 127, 97), 200.0, 201.0]
    found = tensor_ranges(matched(weights()), {"x": seen(*values)})["x"]
    assert (found.dtype, found.scale, found.zero_point) == ("uint8", 0.5, 0)
    assert found.range == (0.0, 127.5)  # 255 steps of 0.5
    assert found.seen == (-1.0, 201.0)
    assert found.clipped == pytest.approx(0.03)  # -1, 200 and 201, of 100
    assert found.bins is not None
    assert len(found.bins.counts) <= 64
    assert sum(found.bins.counts) == 100
    assert found.bins.start <= -1.0 < found.bins.start + found.bins.width


def test_what_lies_within_half_a_step_is_rounded_and_not_clipped():
    found = tensor_ranges(matched(weights()), {"x": seen(0.0, 127.7, -0.2)})["x"]
    assert found.clipped == 0.0


def test_without_a_record_there_is_the_range_alone():
    found = tensor_ranges(matched(weights()), {})["x"]
    assert (found.range, found.seen, found.clipped, found.bins) == ((0.0, 127.5), None, None, None)


def test_what_readers_take_for_the_same_is_not_clipped():
    scale = "float s = {0.5}, uint8 z = {0}"
    prepared = build("g (float[1,4] x) => (float[1,4] y) { y = Relu(x) }")
    int8 = build(
        f"g (float[1,4] x) => (float[1,4] y) <{scale}> "
        "{ x_q = QuantizeLinear(x, s, z) x_dq = DequantizeLinear(x_q, s, z) y = Relu(x_dq) }"
    )
    both = Matched(prepared=prepared, int8=int8, pairs=pair(prepared.graph, int8.graph))
    found = tensor_ranges(both, {"x": seen(-50.0, -40.0, 3.0, 200.0)})["x"]
    assert found.live == (0.0, float("inf"))
    assert found.clipped == 0.25  # 200 alone


def test_weights_by_channel():
    found = weight_ranges(matched(weights()), None)["w"]
    assert (found.channels, found.together, found.before) == (3, 1, None)
    assert found.after.lo == (-1.0, -2.0, -3.0)
    assert found.after.hi == (2.0, 3.0, 4.0)
    assert found.limit == pytest.approx((2.0, 3.0, 4.0), rel=0.01)  # 127 or 128 steps


def test_neighbours_share_an_entry_where_channels_are_many():
    found = weight_ranges(matched(weights(200)), None)["w"]
    assert (found.channels, found.together, len(found.after.lo)) == (200, 3, 67)
    assert (found.after.lo[0], found.after.hi[0]) == (-3.0, 4.0)


def test_weights_before_the_steps_are_told_where_they_differ():
    now = weights()
    before = build(FLOAT, w=now * np.array([4, 1, 1], np.float32))
    found = weight_ranges(matched(now), before)["w"]
    assert found.before is not None
    assert found.before.hi == (8.0, 3.0, 4.0)
    assert weight_ranges(matched(now), build(FLOAT, w=now))["w"].before is None
