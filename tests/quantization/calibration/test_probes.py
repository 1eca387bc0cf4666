"""Steps between the elements that are kept of a tensor."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyint.quantization.calibration.probes import SUBSAMPLE, stride_for


@pytest.mark.parametrize(
    ("size", "stride"), [(0, 1), (4096, 1), (8191, 1), (8192, 3), (20_200, 7), (30_400, 7)]
)
def test_strides(size: int, stride: int) -> None:
    assert stride_for(size) == stride


@given(st.integers(1, 10**9))
def test_a_stride_visits_all_channels_and_columns(size: int) -> None:
    stride = stride_for(size)
    assert math.gcd(stride, size) == 1
    assert stride >= size // SUBSAMPLE
