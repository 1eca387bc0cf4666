from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tinyint.errors import OutputError
from tinyint.files import atomic_write, written_together

NAMES = ("m.calibration.npz", "m.onnx", "m.report.json", "more/picture.png")
KILLED = """
import os, sys
from pathlib import Path
from tinyint.files import written_together

place, last = Path(sys.argv[1]), int(sys.argv[2])
replace, count = os.replace, 0

def counted(*names):
    global count
    count += 1
    if count == last:
        os.kill(os.getpid(), 9)
    replace(*names)

os.replace = counted
with written_together(place / "m.onnx") as scratch:
    (scratch / "more").mkdir()
    for name in sys.argv[3:]:
        (scratch / name).write_text("new")
"""


def files(place: Path) -> dict[str, str]:
    return {
        path.relative_to(place).as_posix(): path.read_text()
        for path in place.rglob("*")
        if path.is_file() and ".tmp" not in str(path.relative_to(place))
    }


def write(place: Path, text: str) -> None:
    with written_together(place / "m.onnx") as scratch:
        (scratch / "more").mkdir()
        for name in NAMES:
            (scratch / name).write_text(text)


@pytest.mark.parametrize("before", ["nothing", "old"])
@pytest.mark.parametrize("rename", range(1, 7))
def test_a_kill_between_renames_is_mended_by_the_next_run(rename: int, before: str, tmp_path: Path) -> None:
    """The first rename is the journal's, the next four are the files', the model last; there is no sixth."""
    if before == "old":
        write(tmp_path, "old")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(rename), *NAMES], check=False)
    assert (ended.returncode == 0) == (rename == 6)
    held = files(tmp_path).get("m.onnx")
    assert held == (
        "new" if rename == 6 else {"old": "old"}.get(before)
    )  # never missing, never before the rest
    # The next run fails, yet has tidied up: all are as they were if no rename had been planned, else all are new.
    with pytest.raises(RuntimeError), written_together(tmp_path / "m.onnx"):
        raise RuntimeError
    expected = {} if before == "nothing" else dict.fromkeys(NAMES, "old")
    assert files(tmp_path) == (expected if rename == 1 else dict.fromkeys(NAMES, "new"))
    assert not list(tmp_path.rglob(".*"))


def test_what_was_changed_since_the_kill_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, "old")
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), "3", *NAMES], check=False)
    (tmp_path / "m.onnx").write_text("of the user")
    with pytest.raises(RuntimeError), written_together(tmp_path / "m.onnx"):
        raise RuntimeError
    assert files(tmp_path) == {
        "m.calibration.npz": "new",
        "m.onnx": "of the user",
        "m.report.json": "old",
        "more/picture.png": "old",
    }


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("name", NAMES)
def test_a_rename_that_fails_brings_the_old_files_back(
    name: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "old")
    (tmp_path / NAMES[0]).unlink()
    expected, replace = files(tmp_path), os.replace

    def failing(source: Path, place: Path) -> None:
        if Path(place) == tmp_path / name and ".tinyint" not in str(source):
            raise error
        replace(source, place)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises((OutputError, KeyboardInterrupt)):
        write(tmp_path, "new")
    monkeypatch.undo()
    assert files(tmp_path) == expected
    assert not list(tmp_path.rglob(".*"))


def test_a_taking_back_that_is_killed_is_ended_by_the_next_run(tmp_path: Path) -> None:
    """The third rename fails; the first of taking back, the fifth in all, is where the kill comes."""
    write(tmp_path, "old")
    script = KILLED.replace(
        "if count == last:", "if count == 3: raise OSError(28, 'full')\n    if count == last:"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path), "5", *NAMES], check=False)
    assert "new" in files(tmp_path).values()
    with atomic_write(tmp_path / "m.onnx.data") as temporary:
        temporary.touch()
    with pytest.raises(RuntimeError), written_together(tmp_path / "m.onnx"):
        raise RuntimeError
    assert files(tmp_path) == dict.fromkeys(NAMES, "old") | {"m.onnx.data": ""}


@pytest.mark.skipif(os.name == "nt", reason="links and permissions of POSIX")
def test_links_are_followed_and_permissions_kept(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    write(tmp_path / "there", "old")
    (tmp_path / "there/m.onnx").chmod(0o600)
    (tmp_path / "current.onnx").symlink_to("there/m.onnx")
    with written_together(tmp_path / "current.onnx") as scratch:
        (scratch / "m.onnx").write_text("new")
    assert (tmp_path / "current.onnx").is_symlink()
    assert (tmp_path / "there/m.onnx").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "there/m.onnx").stat().st_mode) == 0o600
