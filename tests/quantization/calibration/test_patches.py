"""Windows of a tensor: in the order of a convolution's weights, on the runtime; and in a file."""

import numpy as np
import pytest

from tests.graph.build import build
from tinyint.data import Sample
from tinyint.graph.prepare import prepare
from tinyint.quantization.calibration import calibrate
from tinyint.quantization.calibration.patches import Patches
from tinyint.quantization.calibration.statistics import Gram, Request

WINDOW = Patches(kernel=(2, 1), strides=(1, 2), pads=(0, 0, 1, 0), dilations=(1, 1))


@pytest.mark.parametrize("size", [1, 2])
def test_the_gram_matrix_of_windows_by_hand(size):
    model = prepare(build("g (float[N,2,2,3] x) => (float[N,2,2,3] y) { y = Relu (x) }"))
    x = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)
    need = Request(statistic=Gram, tensor="x", patches=WINDOW, block=2)
    samples = [Sample({"x": x}, name="a"), Sample({"x": 2 * x}, name="b")]
    record = calibrate(model, samples, fingerprint="f", needs={need}, threads=1, batch_size=size)
    # Columns 0 and 2 count; below the last row is padding. Channel 0: (0, 3), (2, 5), (3, 0), (5, 0), once and doubled.
    first = 5 * np.array([[0 + 4 + 9 + 25, 0 + 10], [10, 9 + 25]])
    second = 5 * np.array([[36 + 64 + 81 + 121, 6 * 9 + 8 * 11], [6 * 9 + 8 * 11, 81 + 121]])
    np.testing.assert_array_equal(record.statistic(need).matrices(), [first, second])


def test_a_header_tells_them():
    assert Patches.from_header(WINDOW.to_header()) == WINDOW


@pytest.mark.parametrize(
    "change",
    [{"kernel": ()}, {"kernel": (0, 1)}, {"pads": (0, 0)}, {"strides": (-1, 1)}, {"dilations": None}],
)
def test_one_that_is_untrue_is_refused(change):
    with pytest.raises((ValueError, TypeError)):
        Patches.from_header({**WINDOW.to_header(), **change})
