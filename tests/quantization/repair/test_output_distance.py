from __future__ import annotations

import math

import numpy as np
import pytest

from tests.graph.build import build
from tinyint.quantization.repair.output_distance import distances

TEXT = "net (float[1, 4] x) => (float[1, 4] y, float[1, 4] z, int64[1, 1] i) {{ y = Mul (x, a) z = Mul (x, b) {} }}"
PICK = "i = ArgMax <axis = 1> (x)"
SAMPLES = [{"x": np.full((1, 4), value, np.float32)} for value in (1.0, 3.0)]


def model(a: float, b: float):
    return build(TEXT.format(PICK), a=np.float32(a), b=np.float32(b))


def test_the_mean_of_outputs_in_decibels():
    # 10 % off is 20 dB, 1 % is 40 dB, whatever the size of the values; outputs without noise do not count
    made = [model(1.1, 101.0), model(1.1, 100.0), model(1.0, 100.0)]
    assert distances(model(1.0, 100.0), made, SAMPLES) == [
        pytest.approx(30.0, abs=1e-3),
        pytest.approx(20.0, abs=1e-3),
        math.inf,
    ]
