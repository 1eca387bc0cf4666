import numpy as np
import pytest

from tests.data.build import spec
from tinyint.data.iterable import IterableSource, reopener, to_array
from tinyint.data.sample import Sample
from tinyint.errors import DataError

A, B = np.zeros((1, 2), np.float32), np.ones((1, 3), np.float32)
ONE, TWO = [spec(None, 2, name="a")], [spec(None, 2, name="a"), spec(None, 3, name="b")]


class Tensor:
    """Behaves as a torch tensor that needs gradients: no array until detached."""

    def __init__(self, array):
        self.array, self.detached, self.shape = np.asarray(array), False, np.shape(array)

    def __array__(self, *_args, **_kw):
        raise RuntimeError("call detach() first")

    def __repr__(self):
        return f"Tensor({self.array.tolist()})"

    def detach(self):
        copy = Tensor(self.array)
        copy.detached = True
        return copy

    def cpu(self):
        return self

    def numpy(self):
        assert self.detached
        return self.array


def _read(items, specs, start=0, stop=None):
    return list(IterableSource(name="data", open=reopener(items), specs=specs).read(start, stop))


@pytest.mark.parametrize(
    ("item", "specs", "label"),
    [
        (A, ONE, None),
        (A[0], ONE, None),
        ([[0.0, 0.0]], ONE, None),
        ((0.0, 0.0), ONE, None),
        ({"a": A}, ONE, None),
        ({"a": A, "label": 4}, ONE, 4),
        ((A,), ONE, None),
        ((A, 4), ONE, 4),
        ([A, np.array([4])], ONE, 4),
        (({"a": A}, 4), ONE, 4),
        (((A,), 4), ONE, 4),
        ((A, None), ONE, None),
        ([Tensor(A), Tensor([4])], ONE, 4),
        ((A, B), TWO, None),
        ((A, B, 4), TWO, 4),
        (((A, B), 4), TWO, 4),
        (({"b": B, "a": A}, 4), TWO, 4),
        ([[A, B], np.array([4])], TWO, 4),
        (Sample({"a": A}, 4, "mine"), ONE, 4),
    ],
    ids=str,
)
def test_every_form_of_an_item(item, specs, label):
    (sample,) = _read([item], specs)
    assert sample.label == label
    np.testing.assert_array_equal(sample.inputs["a"], A)
    if len(specs) == 2:
        np.testing.assert_array_equal(sample.inputs["b"], B)


def test_batches_of_uneven_size_are_counted_in_samples():
    batches = [(np.full((n, 2), n), np.arange(n)) for n in (3, 1, 2)]
    samples = _read(batches, ONE)
    assert [s.label for s in samples] == [0, 1, 2, 0, 0, 1]
    assert [s.name for s in samples][:4] == ["data[0][0]", "data[0][1]", "data[0][2]", "data[1]"]
    assert [s.label for s in _read(batches, ONE, 2, 5)] == [2, 0, 0]


def test_a_one_shot_iterator_is_refused_and_its_function_accepted():
    def make():
        yield A

    with pytest.raises(DataError, match=r"generator, which can be read only once.*data=make_samples"):
        reopener(make())
    with pytest.raises(DataError, match="list_iterator"):
        reopener(iter([A]))
    source = IterableSource(name="data", open=reopener(make), specs=ONE)
    assert len(list(source.read(0, None))) == len(list(source.read(0, None))) == 1


def test_map_style_datasets():
    class Squares:
        def __len__(self):
            return 3

        def __getitem__(self, i):  # never raises IndexError
            return np.array([i, i * i], np.float32), i

    assert [s.label for s in _read(Squares(), ONE)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("item", "specs", "message"),
    [
        ({"A": A}, ONE, r"data\[0\] has no input 'a': known: A"),
        ((A, B, 1), ONE, r"holds 3 arrays; expected 1 .* or 2 with the label"),
        ((A, B), [*TWO, spec(1, name="c")], "holds 2 arrays; expected 3"),
        (A, TWO, r"holds 1 arrays; the model has 2 inputs \('a', 'b'\)"),
        ("text", ONE, "str is no array of numbers"),
        (None, ONE, "NoneType is no array of numbers"),
        ([[1, 2], [3]], ONE, "cannot turn list into an array"),
        ((A, "cat"), ONE, "label: str is no array of numbers"),
    ],
)
def test_faults_name_the_item(item, specs, message):
    with pytest.raises(DataError, match=message):
        _read([item], specs)


def test_no_iterable():
    with pytest.raises(DataError, match="of type int; expected an iterable"):
        reopener(3)
    with pytest.raises(DataError, match="the data function returned int"):
        _read(lambda: 3, ONE)


def test_entries_without_an_input_are_told_once():
    source = IterableSource(name="data", open=lambda: [{"a": A, "ids": B}] * 2, specs=ONE)
    list(source.read(0, None))
    assert source.notices == ["entries of data that are no inputs of the model are left out: ids"]


def test_torch_loaders():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.arange(10.0).reshape(5, 2).requires_grad_(), torch.arange(5))
    samples = _read(torch.utils.data.DataLoader(data, batch_size=2), ONE)
    assert [s.label for s in samples] == [0, 1, 2, 3, 4]
    assert samples[4].inputs["a"].tolist() == [[8, 9]]
    assert len(_read(data, ONE)) == 5
    with pytest.raises(DataError, match="cannot turn Tensor into an array"):
        to_array(torch.zeros(1, dtype=torch.bfloat16), "w")
