import numpy as np
import pytest

from tinyint.data.sample import Sample, content_key, stack
from tinyint.errors import DataError


def _sample(name="s", **inputs):
    return Sample({k: np.asarray(v) for k, v in inputs.items()}, None, name)


def test_stack_joins_along_the_batch_axis():
    batch = stack([_sample(x=[[1, 2]]), _sample(x=[[3, 4]])])
    assert batch["x"].tolist() == [[1, 2], [3, 4]]


def test_stack_passes_a_scalar_input_once():
    batch = stack([_sample(x=[[1]], size=7), _sample(x=[[2]], size=7)])
    assert batch["size"].shape == ()
    with pytest.raises(DataError, match=r"'size' is 7 in a and 8 in b"):
        stack([_sample("a", x=[[1]], size=7), _sample("b", x=[[1]], size=8)])


def test_stack_names_the_samples_that_differ():
    with pytest.raises(DataError, match=r"shape \(1, 2\) in a and \(1, 3\) in b"):
        stack([_sample("a", x=[[1, 2]]), _sample("b", x=[[1, 2, 3]])])
    with pytest.raises(DataError, match=r"inputs \['x'\]"):
        stack([_sample("a", x=[1]), _sample("b", y=[1])])
    with pytest.raises(DataError, match="no samples"):
        stack([])


def test_content_key_sees_names_types_shapes_and_values_only():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    key = content_key(Sample({"a": x, "b": x[:1]}, 1, "one"))
    assert len(key) == 16
    assert content_key(Sample({"b": x[:1].copy(), "a": x}, 2, "two")) == key
    others = [
        {"a": x, "c": x[:1]},
        {"a": x.astype(np.float64), "b": x[:1]},
        {"a": x.reshape(3, 2), "b": x[:1]},
        {"a": x + 1, "b": x[:1]},
        {"a": x},
    ]
    assert len({key, *(content_key(Sample(o)) for o in others)}) == 6


def test_content_key_does_not_depend_on_memory_order():
    x = np.arange(6.0).reshape(2, 3)
    assert content_key(Sample({"x": np.asfortranarray(x)})) == content_key(Sample({"x": x}))
    assert content_key(Sample({"x": np.array(1.0)})) != content_key(Sample({"x": np.array(2.0)}))
