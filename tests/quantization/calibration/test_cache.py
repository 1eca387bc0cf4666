import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tinyint.errors import TinyintWarning
from tinyint.files import atomic_write
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.calibration.cache import RecordCache, cache_key
from tinyint.quantization.calibration.statistics import Gram, Request

KEYS = [cache_key("model", f"data {i}") for i in range(4)]


def record(samples: int = 1) -> CalibrationRecord:
    made = CalibrationRecord("model")
    for i in range(samples):
        made.count(bytes([i]) * 16)
    return made


@pytest.fixture
def cache(tmp_path: Path) -> RecordCache:
    return RecordCache(directory=tmp_path / "cache")


@pytest.mark.parametrize("chosen", ["", "~no-such-user/x"])
def test_without_a_home_there_is_no_cache(monkeypatch, tmp_path, chosen):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYINT_CACHE_DIR", chosen)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(
        "os.path.expanduser", lambda path: path
    )  # as where a user has neither HOME nor a name
    monkeypatch.setattr("sys.platform", "linux")
    cache = RecordCache()
    assert cache.directory is None
    assert cache.checkpoint(KEYS[0]) is None
    assert cache.load(KEYS[0]) is None
    assert (cache.size(), cache.clear()) == (0, (0, 0))
    with pytest.warns(TinyintWarning, match="no home directory .*TINYINT_CACHE_DIR"):
        cache.store(KEYS[0], record())
    assert list(tmp_path.iterdir()) == []


def test_a_key_depends_on_each_of_its_parts():
    keys = {
        cache_key("a", "b"),
        cache_key("x", "b"),
        cache_key("a", "x"),
        cache_key("a", "b", frozenset({Request(statistic=Gram, tensor="t")})),
    }
    assert len(keys) == 4


def test_a_stored_record_comes_back(cache):
    assert cache.load(KEYS[0]) is None
    cache.store(KEYS[0], record(3))
    assert cache.load(KEYS[0]) == record(3)
    assert cache.load(KEYS[1]) is None


def test_a_damaged_record_is_ignored_and_removed(cache):
    cache.store(KEYS[0], record())
    path = cache.directory / f"{KEYS[0]}.npz"
    path.write_bytes(b"no record")
    assert cache.load(KEYS[0]) is None
    assert not path.exists()


def test_the_least_recently_used_record_goes_first(cache):
    one = RecordCache(directory=cache.directory)
    for age, key in enumerate(KEYS[:3]):
        one.store(key, record())
        os.utime(cache.directory / f"{key}.npz", (1000 + age, 1000 + age))
    assert one.load(KEYS[0]) is not None  # now the newest
    size = (cache.directory / f"{KEYS[0]}.npz").stat().st_size
    RecordCache(directory=cache.directory, limit=3 * size).store(KEYS[3], record())
    kept = [key for key in KEYS if (cache.directory / f"{key}.npz").exists()]
    assert kept == [KEYS[0], KEYS[2], KEYS[3]]


def test_clearing_removes_records_and_checkpoints_but_nothing_else(cache):
    cache.store(KEYS[0], record())
    partial = cache.checkpoint(KEYS[1])
    assert partial is not None
    partial.write_bytes(b"12345")
    (cache.directory / "mine.txt").write_text("keep")
    files, size = cache.clear()
    assert files == 2
    assert size > 5
    assert [path.name for path in cache.directory.iterdir()] == ["mine.txt"]
    assert cache.size() == 0


KILLED = """
import os, sys
from pathlib import Path
from tinyint.files import atomic_write
with atomic_write(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs locks on files")
def test_what_a_killed_run_left_counts_and_goes_with_the_next(cache):
    cache.directory.mkdir()
    for name in (f"{KEYS[0]}.npz", f"{KEYS[1]}.partial"):
        subprocess.run([sys.executable, "-c", KILLED, cache.directory / name], check=False)
    assert len(list(cache.directory.iterdir())) == 2
    assert cache.size() == 2 * len("half")
    with atomic_write(cache.directory / f"{KEYS[2]}.npz") as written:  # another run at work
        written.write_bytes(b"more")
        assert cache.load(KEYS[3]) is None
        assert list(cache.directory.iterdir()) == [written]
        assert cache.clear() == (0, 0)
    assert cache.clear() == (1, len("more"))


def test_a_place_that_cannot_be_written_draws_a_warning_only(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    cache = RecordCache(directory=blocked / "cache")
    assert cache.checkpoint(KEYS[0]) is None
    assert cache.load(KEYS[0]) is None
    assert cache.clear() == (0, 0)
    with pytest.warns(TinyintWarning, match="TINYINT_CACHE_DIR"):
        cache.store(KEYS[0], record())


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_has_no_checkpoint(cache):
    cache.directory.mkdir()
    cache.directory.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert cache.checkpoint(KEYS[0]) is None
