import numpy as np

from tests.graph.build import build
from tinyint.quantization.calibration.statistics import ChannelMeans, Request
from tinyint.quantization.repair.channel_means import SampleMeans, means_by_sample


def test_means_of_an_array_along_all_other_axes():
    array = np.array([[[1.0, 3.0], [5.0, 7.0]]], np.float32)
    np.testing.assert_array_equal(SampleMeans.of(array, 1).means, [2, 6])
    np.testing.assert_array_equal(SampleMeans.of(array, 2).means, [3, 5])
    assert SampleMeans.of(array, 1).elements == 2
    assert SampleMeans.of(array[:, :, :0], 1).elements == 0


def test_a_graph_reduces_to_the_same_sample_by_sample():
    model = build("net (float[N,3,H,2] x) => (float[N,3,H,2] y) { y = Neg (x) }")
    samples = [np.random.default_rng(i).normal(size=(1, 3, 2 + i, 2)).astype(np.float32) for i in range(3)]
    requests = [Request(statistic=ChannelMeans, tensor="y", axis=axis) for axis in (1, 3)]
    found = means_by_sample(model, frozenset(requests), [{"x": x} for x in samples])
    for x, means in zip(samples, found, strict=True):
        for request in requests:
            expected = SampleMeans.of(-x, request.axis)
            np.testing.assert_allclose(means[request].means, expected.means, rtol=1e-5, atol=1e-6)
            assert means[request].elements == expected.elements
