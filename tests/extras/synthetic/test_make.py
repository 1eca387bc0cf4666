"""The same seed makes the same files, and a directory is written whole or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import children, ended, wait_until
from tinyint.errors import DataError, OutputError
from tinyint.extras.synthetic import FAMILIES, make


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }


def small(
    family: str, directory: Path, *, seed: int = 3, train: int = 3, val: int = 2, workers: int = 1
) -> Path:
    size = FAMILIES[family].least_size or None
    return make(family, directory, seed=seed, train=train, val=val, size=size, workers=workers).directory


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_writes_the_same_bytes_and_another_one_others(family, tmp_path):
    first, again, other = (
        files(small(family, tmp_path / name, seed=seed)) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert first == again
    assert first.keys() == other.keys()
    assert first != other


def test_neither_counts_nor_workers_change_a_sample(tmp_path):
    few = files(small("glyphs", tmp_path / "few", train=5, val=0))
    many = files(small("glyphs", tmp_path / "many", train=33, val=2, workers=2))
    pictures = {name for name in few if name.endswith(".png")}
    assert len(pictures) == 5
    assert all(many[name] == few[name] for name in pictures)
    assert many.keys() == files(small("glyphs", tmp_path / "one", train=33, val=2)).keys()


def test_training_and_validation_samples_differ(tmp_path):
    root = small("fundus", tmp_path / "d", train=1, val=1)
    train, val = (root / f"JPEGImages/{split}_00000000.jpg" for split in ("train", "val"))
    assert train.read_bytes() != val.read_bytes()


def test_progress_tells_each_split(tmp_path):
    told = []
    make("sentences", tmp_path / "d", train=2, val=1, progress=lambda *step: told.append(step))
    assert told == [("train", 1, 2), ("train", 2, 2), ("val", 1, 1)]


def test_an_empty_directory_is_filled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make("sentences", ".", train=1, val=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "labels.txt",
        "train.tsv",
        "val.tsv",
        "vocab.txt",
    ]


def test_a_directory_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match=r"is not empty \(it holds 'mine.txt'\): choose a new one"):
        make("glyphs", tmp_path, train=1, val=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_in_the_way_is_named(place, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=f"cannot write .*{place}'"):
        make("glyphs", tmp_path / place, train=1, val=1)


@pytest.mark.parametrize("existed", [True, False])
def test_an_interruption_leaves_nothing(existed, tmp_path):
    def interrupt(step: str, done: int, total: int | None) -> None:
        if (step, done) == ("val", 1):
            raise KeyboardInterrupt

    target = tmp_path / "d"
    if existed:
        target.mkdir()
    with pytest.raises(KeyboardInterrupt):
        make("sentences", target, train=2, val=2, progress=interrupt)
    assert list(tmp_path.rglob("*")) == ([target] if existed else [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"family": "glyph"}, "no family 'glyph' of synthetic data; did you mean 'glyphs'"),
        ({"family": "sentences", "size": 64}, "sentences are text and have no size"),
        ({"family": "scenes", "size": 32}, "ask for a size of 96 or more"),
        ({"family": "glyphs", "train": -1}, "the least are 0"),
        ({"family": "glyphs", "workers": 0}, "1 worker"),
    ],
)
def test_what_cannot_be_made_is_refused(arguments, message, tmp_path):
    with pytest.raises(DataError, match=message):
        make(directory=tmp_path / "d", **arguments)
    assert not (tmp_path / "d").exists()


def test_what_a_killed_run_left_is_no_hindrance(tmp_path):
    place = tmp_path / "there"
    (place / ".tinyint.0123abcd.tmp/images").mkdir(parents=True)
    (tmp_path / ".new.0123abcd.tmp").mkdir()
    make("sentences", place, train=1, val=1)
    make("sentences", tmp_path / "new", train=1, val=1)
    assert not list(tmp_path.rglob(".*"))
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode


SLOW = """
import sys
from pathlib import Path
from tinyint.extras.synthetic import make
if __name__ == "__main__":
    told = lambda *step: Path(sys.argv[2]).touch()
    make("glyphs", sys.argv[1], train=100_000, val=0, workers=2, progress=told)
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes as Linux tells of them")
def test_workers_end_with_a_killed_parent(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    process = subprocess.Popen([sys.executable, tmp_path / "slow.py", tmp_path / "d", tmp_path / "started"])
    wait_until((tmp_path / "started").exists, process)
    workers = children(process.pid)
    assert len(workers) >= 2
    process.kill()
    process.wait()
    wait_until(lambda: all(map(ended, workers)))
