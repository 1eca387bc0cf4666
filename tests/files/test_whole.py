from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tinyint.errors import OutputError
from tinyint.files import atomic_write, require_writable


def test_atomic_write_shows_nothing_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
    assert path.read_text() == "new"
    with pytest.raises(RuntimeError, match="mine"), atomic_write(path) as temporary:  # noqa: PT012
        temporary.write_text("broken")
        raise RuntimeError("mine")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path: Path) -> None:
    for name in (".report.json.0123abcd.tmp", ".other.json.0123abcd.tmp", ".report.json.mine.tmp"):
        (tmp_path / name).write_text("half")
    (tmp_path / ".report.json.01234567.tmp").mkdir()
    with atomic_write(tmp_path / "report.json") as temporary:
        temporary.write_text("new")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"report.json", ".other.json.0123abcd.tmp", ".report.json.mine.tmp"}


def test_another_writer_at_work_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with atomic_write(path) as first:
        first.write_text("first")
        with atomic_write(path) as second:
            second.write_text("second")
        assert first.read_text() == "first"
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize("mode", [0o600, 0o444, 0o664])
def test_permissions_stay_as_they_were(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.touch()
    path.chmod(mode)
    with atomic_write(path) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == mode | 0o600
        temporary.write_text("new")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_text() == "new"


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name, target in (("old.json", "there/old.json"), ("new.json", "there/new.json")):
        (tmp_path / name).symlink_to(target)
    (tmp_path / "there/old.json").write_text("old")
    for name in ("old.json", "new.json"):
        with atomic_write(tmp_path / name) as temporary:
            temporary.write_text("written")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "there" / name).read_text() == "written"
    assert len(list(tmp_path.rglob("*.json"))) == 4


@pytest.mark.parametrize("name", ["a" * 300 + ".json", "a\0b", "file/report.json", "no/report.json"])
def test_a_place_that_cannot_be_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        require_writable(tmp_path / name)
