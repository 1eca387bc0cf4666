import numpy as np
import pytest

from tests.data.build import spec
from tinyint.data.arrays import npy_source, npz_source
from tinyint.errors import DataError

X = np.arange(24, dtype=np.float32).reshape(4, 2, 3)


def _npy(tmp_path, array, *specs):
    np.save(tmp_path / "a.npy", array)
    return npy_source(tmp_path / "a.npy", specs)


def _npz(tmp_path, specs, *unnamed, **arrays):
    np.savez(tmp_path / "a.npz", *unnamed, **arrays)
    return npz_source(tmp_path / "a.npz", specs)


@pytest.mark.parametrize(
    ("shape", "size", "sample"),
    [
        ((None, 2, 3), 4, (1, 2, 3)),  # rows get the batch axis
        ((1, 2, 3), 4, (1, 2, 3)),
        ((2, 2, 3), 2, (2, 2, 3)),  # a fixed batch of 2
        ((2, 3), 4, (2, 3)),  # no batch axis
        ((None, 3), 4, (2, 3)),  # every row is a batch of 2
    ],
)
def test_npy(tmp_path, shape, size, sample):
    source = _npy(tmp_path, X, spec(*shape))
    assert source.size == size
    samples = list(source.read(0, None))
    assert [s.inputs["x"].shape for s in samples] == [sample] * size
    np.testing.assert_array_equal(np.concatenate([s.inputs["x"].ravel() for s in samples]), X.ravel())
    assert [s.name for s in source.read(1, 3)] == ["a.npy[1]", "a.npy[2]"][: size - 1]


def test_npy_faults(tmp_path):
    with pytest.raises(DataError, match=r"is empty \(shape \(0, 2\)\)"):
        _npy(tmp_path, np.zeros((0, 2)), spec(None, 2))
    with pytest.raises(DataError, match=r"shape \(4, 2, 3\); expected samples of float32 \[\?, 2, 3, 1, 1\]"):
        _npy(tmp_path, X, spec(None, 2, 3, 1, 1))
    with pytest.raises(DataError, match="4 rows are no multiple of the model's fixed batch of 3"):
        _npy(tmp_path, X, spec(3, 2, 3))
    with pytest.raises(DataError, match=r"the model has 2 inputs \('x', 'y'\)"):
        _npy(tmp_path, X, spec(2, 3), spec(1, name="y"))


def test_npz_by_name_with_labels(tmp_path):
    specs = [spec(None, 2, 3, name="a"), spec(None, 5, name="b", dtype="int64")]
    source = _npz(tmp_path, specs, a=X, b=np.arange(20).reshape(4, 5), labels=np.array([3, 1, 2, 0]))
    assert [s.label for s in source.read(0, None)] == [3, 1, 2, 0]
    (sample,) = source.read(3, 4)
    assert sample.inputs["b"].tolist() == [[15, 16, 17, 18, 19]]
    assert sample.name == "a.npz[3]"


def test_npz_with_one_unnamed_array(tmp_path):
    assert _npz(tmp_path, [spec(None, 2, 3)], X).size == 4


def test_an_input_called_y_is_no_label(tmp_path):
    source = _npz(tmp_path, [spec(None, 2, 3, name="y")], y=X)
    assert source.label is None


def test_other_arrays_are_told(tmp_path):
    source = _npz(tmp_path, [spec(None, 2, 3)], x=X, ids=np.arange(4))
    assert source.notices == ["arrays of a.npz that are no inputs of the model are left out: ids"]


def test_npz_faults(tmp_path):
    two = [spec(None, 2, 3, name="image"), spec(None, name="k")]
    with pytest.raises(
        DataError, match=r"a\.npz has no array for the model's input 'image'.*did you mean 'imgae'"
    ):
        _npz(tmp_path, two, imgae=X, k=np.zeros(4))
    with pytest.raises(DataError, match=r"different numbers of samples \('image': 4, 'k': 3\)"):
        _npz(tmp_path, two, image=X, k=np.zeros(3))
    with pytest.raises(DataError, match=r"\['label'\] has shape \(3,\), but there are 4 samples"):
        _npz(tmp_path, [spec(None, 2, 3)], x=X, label=np.zeros(3))
    (tmp_path / "b.npz").write_bytes(b"PK no")
    with pytest.raises(DataError, match=r"cannot read .*b\.npz as an \.npz file"):
        npz_source(tmp_path / "b.npz", [spec(1)])


def test_the_fingerprint_follows_the_file(tmp_path):
    first = _npy(tmp_path, X, spec(None, 2, 3)).fingerprint
    assert npy_source(tmp_path / "a.npy", [spec(None, 2, 3)]).fingerprint == first
    assert _npy(tmp_path, X[:3], spec(None, 2, 3)).fingerprint != first


@pytest.mark.parametrize("shape", [(2, 1, 50, 4), (2, 50, 4)], ids=["with batch", "without"])
def test_what_does_not_fit_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, shape):
    def unpack(*_):
        raise AssertionError("unpacked")

    monkeypatch.setattr("tinyint.data.stored.StreamTable.blocks", unpack)
    monkeypatch.setattr("tinyint.data.stored.LoadedTable.blocks", unpack)
    for array in (np.zeros(shape), np.asfortranarray(np.zeros(shape))):
        with pytest.raises(DataError, match="expected samples of float32"):
            _npz(tmp_path, [spec(None, 3, 4)], x=array)


def test_more_than_fits_into_memory_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("tinyint.data.arrays.LARGEST", 1000)
    fits, huge = np.zeros((2, 1, 5, 5)), np.zeros((2, 1, 50, 5))
    _npz(tmp_path, [spec(None, None, 5)], x=fits, y=np.zeros((2, 100)))
    with pytest.raises(DataError, match=r"input 'x': one sample takes .* GiB"):
        _npz(tmp_path, [spec(None, None, 5)], x=huge)
    with pytest.raises(DataError, match=r"\['y'\]: one sample takes"):
        _npz(tmp_path, [spec(None, None, 5)], x=fits, y=np.zeros((2, 1000)))
