import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyint.data.stored import MemoryTable, StreamTable, open_npy, open_npz
from tinyint.errors import DataError

X = np.arange(24, dtype=np.float32).reshape(6, 2, 2)


def _tables(tmp_path):
    np.save(tmp_path / "c.npy", X)
    np.save(tmp_path / "f.npy", np.asfortranarray(X))
    np.savez(tmp_path / "plain.npz", x=X)
    np.savez_compressed(tmp_path / "packed.npz", x=X)
    np.savez(tmp_path / "fortran.npz", x=np.asfortranarray(X))
    return {
        "memory": MemoryTable(X),
        "npy": open_npy(tmp_path / "c.npy"),
        "fortran npy": open_npy(tmp_path / "f.npy"),
        **{name: open_npz(tmp_path / f"{name}.npz")["x"] for name in ("plain", "packed", "fortran")},
    }


def test_blocks_are_the_same_from_everywhere(tmp_path):
    for name, table in _tables(tmp_path).items():
        assert (table.shape, table.dtype) == (X.shape, X.dtype), name
        for _ in range(2):
            blocks = list(table.blocks(2, 1, 3))
            np.testing.assert_array_equal(blocks, X[2:].reshape(2, 2, 2, 2), err_msg=name)
        blocks[0][:] = -1  # belongs to the reader
        assert type(blocks[0]) is np.ndarray
        np.testing.assert_array_equal(next(iter(table.blocks(1, 2, 3))), X[2:3])


def test_files_are_streamed_not_loaded(tmp_path):
    tables = _tables(tmp_path)
    assert all(isinstance(tables[name], StreamTable) for name in ("npy", "plain", "packed"))


@pytest.mark.parametrize("keep", [0, 5, 60, 200])
def test_a_truncated_file_is_refused(tmp_path, keep):
    np.save(tmp_path / "a.npy", X)
    data = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(data[:keep])
    with pytest.raises(DataError, match=r"cannot read .*a\.npy as a NumPy array"):
        open_npy(tmp_path / "a.npy")


def test_a_file_cut_while_it_is_read(tmp_path):
    np.save(tmp_path / "a.npy", X)
    table = open_npy(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-1])
    with pytest.raises(DataError, match="ends too early"):
        list(table.blocks(1, 0, 6))


def test_python_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="Python objects"):
        open_npy(tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", x=np.array([{}], dtype=object))
    with pytest.raises(DataError, match=r"a\.npz\['x'\].*Python objects"):
        open_npz(tmp_path / "a.npz")


def test_a_header_that_promises_too_much_allocates_nothing(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (2, 10**15)}
    )
    (tmp_path / "a.npy").write_bytes(header.getvalue() + b"\0" * 64)
    with pytest.raises(DataError, match="truncated"):
        open_npy(tmp_path / "a.npy")


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_damage_gives_arrays_or_a_data_error(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "npy":
        np.save(path, X)
    else:
        np.savez_compressed(path, x=X, y=np.arange(6))
    whole = path.read_bytes()

    @settings(deadline=None, max_examples=150, database=None)
    @given(st.integers(0, len(whole) - 1), st.integers(1, 255), st.booleans())
    def damaged(place, flip, cut):
        data = bytearray(whole)
        data[place] ^= flip
        path.write_bytes(data[: place + 1] if cut else data)
        with contextlib.suppress(DataError):
            tables = {"x": open_npy(path)} if kind == "npy" else open_npz(path)
            for table in tables.values():
                if table.shape and 0 not in table.shape:
                    list(table.blocks(1, 0, min(table.shape[0], 10)))

    damaged()


def test_columns_first_that_do_not_fit_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("tinyint.data.stored.LARGEST", 100)
    np.savez_compressed(tmp_path / "a.npz", x=np.asfortranarray(np.zeros((10, 10))))
    table = open_npz(tmp_path / "a.npz")["x"]
    with pytest.raises(DataError, match="save it rows first"):
        next(table.blocks(1, 0, 1))


def test_a_header_without_end_is_not_read_to_the_end(tmp_path):
    header = b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little") + b" " * 100_000
    (tmp_path / "a.npy").write_bytes(header)
    with pytest.raises(DataError, match="cannot read"):
        open_npy(tmp_path / "a.npy")
