"""Bounded directories of what later runs may use."""

import os

import pytest

from tinyint.errors import OutputError
from tinyint.files.kept import Kept, cache_directory, used


@pytest.fixture
def kept(tmp_path):
    """Files of 1, 2, 3 and 4 bytes, the smallest used last, and one that is not ours."""
    found = Kept(directory=tmp_path / "kept", endings=(".a", ".b"), temporary=r"\w+\.a")
    for size, name in enumerate(("one.a", "two.b", "three.a", "four.b"), 1):
        path = found.made() / name
        path.write_bytes(bytes(size))
        os.utime(path, (0, 100 - size))
    (found.made() / "theirs.c").write_bytes(bytes(9))
    return found


def names(kept):
    return [path.name for path, _ in kept.files()]


def test_what_was_used_last_comes_first(kept):
    assert [(path.name, size) for path, size in kept.files()] == [
        ("one.a", 1), ("two.b", 2), ("three.a", 3), ("four.b", 4)
    ]  # fmt: skip
    used(kept.directory / "three.a")
    assert names(kept) == ["three.a", "one.a", "two.b", "four.b"]
    used(kept.directory / "gone.a")


@pytest.mark.parametrize(
    ("fits", "left"),
    [
        (lambda count, _: count <= 2, ["one.a", "two.b"]),
        (lambda _, size: size <= 6, ["one.a", "two.b", "three.a"]),
        (lambda _, size: size <= 0, []),
    ],
)
def test_what_was_used_least_recently_goes_first(kept, fits, left):
    kept.trim(fits)
    assert names(kept) == left
    assert (kept.directory / "theirs.c").exists()


def test_clearing_leaves_what_is_not_ours(kept):
    (kept.directory / ".five.a.0123abcd.tmp").write_bytes(bytes(5))  # of a killed writer
    assert kept.clear() == (5, 15)
    assert names(kept) == []
    assert [path.name for path in kept.directory.iterdir()] == ["theirs.c"]


def test_without_a_directory_there_is_nothing_and_no_place(tmp_path):
    nowhere = Kept(directory=None, endings=(".a",), temporary="")
    assert nowhere.files() == []
    assert nowhere.clear() == (0, 0)
    with pytest.raises(OutputError, match="no home directory"):
        nowhere.made()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write .*file"):
        Kept(directory=tmp_path / "file" / "kept", endings=(".a",), temporary="").made()


def test_the_place_for_caches_is_the_users_choice_or_the_platforms(monkeypatch, tmp_path):
    monkeypatch.setenv("TINYINT_CACHE_DIR", str(tmp_path))
    assert cache_directory() == tmp_path
    monkeypatch.delenv("TINYINT_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_directory() == tmp_path / "xdg" / "tinyint"
