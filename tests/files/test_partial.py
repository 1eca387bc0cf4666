"""Files that are gone on with."""

import subprocess
import sys

import pytest

from tinyint.errors import OutputError
from tinyint.files import partial_file

MAGIC = b"OURS"


def write(path, content, error=None):
    with partial_file(path, MAGIC) as file:
        seen = file.read()
        file.write(content)
        if error is not None:
            raise error
    return seen


def test_it_is_renamed_at_the_end(tmp_path):
    assert write(tmp_path / "d", MAGIC + b"1") == b""
    assert (tmp_path / "d").read_bytes() == MAGIC + b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_an_interrupted_writer_leaves_what_the_next_goes_on_with(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "d", MAGIC + b"1", KeyboardInterrupt())
    assert [path.name for path in tmp_path.iterdir()] == [".d.partial"]
    assert write(tmp_path / "d", b"2") == MAGIC + b"1"
    assert (tmp_path / "d").read_bytes() == MAGIC + b"12"


def test_an_error_leaves_nothing(tmp_path):
    (tmp_path / "d").write_bytes(MAGIC + b"old")
    with pytest.raises(ZeroDivisionError):
        write(tmp_path / "d", MAGIC, ZeroDivisionError())
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    assert (tmp_path / "d").read_bytes() == MAGIC + b"old"


@pytest.mark.parametrize("name", ["d", ".d.partial"])
def test_files_of_others_stay(tmp_path, name):
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(OutputError, match=f"cannot write '.*{name}': a file is there"):
        write(tmp_path / "d", MAGIC)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: b"precious"}


@pytest.mark.skipif(sys.platform == "win32", reason="no locks")
def test_two_do_not_write_one_file(tmp_path):
    other = "from tests.files.test_partial import *; write(sys.argv[1], MAGIC)"
    with partial_file(tmp_path / "d", MAGIC) as file:
        file.write(MAGIC + b"1")
        run = subprocess.run(
            [sys.executable, "-c", other, str(tmp_path / "d")],
            env={"PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert "OutputError: another process writes" in run.stderr
    assert (tmp_path / "d").read_bytes() == MAGIC + b"1"


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX's")
def test_permissions_stay_and_a_link_is_followed(tmp_path):
    (tmp_path / "d").write_bytes(MAGIC)
    (tmp_path / "d").chmod(0o640)
    (tmp_path / "link").symlink_to(tmp_path / "d")
    with partial_file(tmp_path / "link", MAGIC) as file:
        file.write(MAGIC + b"new")
        assert (tmp_path / ".d.partial").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "d").read_bytes() == MAGIC + b"new"
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o640
