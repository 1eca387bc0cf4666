import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.build import spec
from tinyint.data.rows import split_batch
from tinyint.errors import DataError


def _split(specs, label=None, **arrays):
    return list(split_batch(arrays, None if label is None else np.asarray(label), specs, "d[0]"))


@settings(deadline=None)
@given(st.integers(1, 6), st.sampled_from([None, 1]))
def test_a_batch_becomes_samples_of_one(count, batch_axis):
    x = np.arange(count * 3.0).reshape(count, 3)
    samples = _split([spec(batch_axis, 3)], np.arange(count), x=x)
    assert [s.inputs["x"].shape for s in samples] == [(1, 3)] * count
    np.testing.assert_array_equal(np.concatenate([s.inputs["x"] for s in samples]), x)
    assert [s.label for s in samples] == list(range(count))


def test_a_sample_without_batch_axis_gets_one():
    (sample,) = _split([spec(None, 3)], 4, x=np.zeros(3))
    assert sample.inputs["x"].shape == (1, 3)
    assert (sample.label, sample.name) == (4, "d[0]")


def test_a_fixed_batch_is_cut_into_blocks():
    samples = _split([spec(2, 3)], [5, 6, 7, 8], x=np.arange(12).reshape(4, 3))
    assert [s.inputs["x"].shape for s in samples] == [(2, 3)] * 2
    np.testing.assert_array_equal([s.label for s in samples], [[5, 6], [7, 8]])
    (whole,) = _split([spec(2, 3)], x=np.zeros((3, 3)))  # left to the check of shapes
    assert whole.inputs["x"].shape == (3, 3)


def test_inputs_are_cut_together_and_constants_repeated():
    specs = [spec(None, 3, name="a"), spec(None, 5, name="b"), spec(2, name="size"), spec(name="k")]
    arrays = {
        "a": np.zeros((4, 3)),
        "b": np.arange(20).reshape(4, 5),
        "size": np.array([7, 9]),
        "k": np.array(2),
    }
    samples = list(split_batch(arrays, None, specs, "d[0]"))
    assert len(samples) == 4
    assert samples[3].name == "d[0][3]"
    assert samples[3].inputs["b"].tolist() == [[15, 16, 17, 18, 19]]
    assert samples[3].inputs["size"].tolist() == [7, 9]
    assert samples[3].inputs["k"] == 2


def test_inputs_that_disagree_stay_whole():
    specs = [spec(None, 3, name="a"), spec(None, 3, name="b")]
    assert len(list(split_batch({"a": np.zeros((4, 3)), "b": np.zeros((2, 3))}, None, specs, "d"))) == 1
    assert len(list(split_batch({"a": np.zeros((4, 3)), "b": np.zeros((1, 3))}, None, specs, "d"))) == 1


def test_labels_must_match():
    with pytest.raises(DataError, match=r"4 samples, but labels of shape \(3,\)"):
        _split([spec(None, 2)], [1, 2, 3], x=np.zeros((4, 2)))
    with pytest.raises(DataError, match="the label is of type <U3"):
        _split([spec(None, 2)], "cat", x=np.zeros(2))


def test_label_arrays_are_kept():
    samples = _split([spec(None, 2)], [[0, 1], [1, 0]], x=np.zeros((2, 2)))
    assert samples[1].label.tolist() == [1, 0]
    (regression,) = _split([spec(None, 2)], 0.5, x=np.zeros(2))
    assert regression.label.tolist() == 0.5
