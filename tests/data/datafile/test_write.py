"""One file, the same however it came about."""

import os
import subprocess
import sys
import textwrap
from collections import namedtuple

import pytest

from tests.data.datafile.build import DECLARED, header, images, masks, source, write
from tinyint.data.datafile.layout import HEADER_BYTES, MAGIC
from tinyint.errors import DataError, OutputError


def partial(tmp_path):
    return tmp_path / ".d.bin.partial"


class Stop(KeyboardInterrupt):
    pass


def stopping(after):
    """A progress that interrupts the run after so many images."""

    def progress(step, done, total):
        if step == "preprocess" and done == after:
            raise Stop

    return progress


def test_the_number_of_workers_changes_no_byte(tmp_path):
    of = source(images(tmp_path / "in", 9))
    for workers in (1, 2, 5):
        written = write(of, tmp_path / f"{workers}.bin", workers=workers)
        assert (written.samples, written.resumed, written.skipped) == (9, 0, ())
        assert written.file_bytes == (tmp_path / f"{workers}.bin").stat().st_size
    assert len({(tmp_path / f"{n}.bin").read_bytes() for n in (1, 2, 5)}) == 1


def test_progress_counts_the_images(tmp_path):
    told = []
    write(source(images(tmp_path / "in", 3)), tmp_path / "d.bin", progress=lambda *step: told.append(step))
    assert told == [("preprocess", n, 3) for n in (1, 2, 3)]


KILLED = """
    import os, signal
    from pathlib import Path
    from tests.data.datafile.build import source, write

    def progress(step, done, total):
        if done == 7:
            os.kill(os.getpid(), signal.SIGKILL)

    paths = [Path("in", f"{i}.png") for i in range(12)]
    write(source(paths, preprocessing=PREPROCESSING), Path("d.bin"), workers=3, progress=progress)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_after_a_kill_in_the_middle_the_same_bytes_come_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    large = DECLARED.changed(resize=(64, 64))  # records beyond the buffer of an open file
    images(tmp_path / "in", 12)
    script = textwrap.dedent(KILLED).replace(
        "PREPROCESSING", "Preprocessing.from_yaml(" + repr(large.dump()) + ")"
    )
    run = subprocess.run(
        [sys.executable, "-c", "from tinyint.data import Preprocessing\n" + script],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == -9, run.stderr
    assert not (tmp_path / "d.bin").exists()
    left = partial(tmp_path).stat().st_size
    of = source([type(tmp_path)("in", f"{i}.png") for i in range(12)], preprocessing=large)
    told = []
    written = write(of, tmp_path / "d.bin", progress=lambda *step: told.append(step))
    assert written.resumed == (left - HEADER_BYTES) // written.shape.record_bytes
    assert written.resumed >= 6
    assert next(step for step in told if step[0] == "preprocess") == ("preprocess", written.resumed + 1, 12)
    assert not partial(tmp_path).exists()
    write(of, tmp_path / "whole.bin")
    assert (tmp_path / "d.bin").read_bytes() == (tmp_path / "whole.bin").read_bytes()


@pytest.mark.parametrize("labelled", ["classes", "masks"])
def test_half_a_record_is_done_again(tmp_path, labelled):
    label = masks(tmp_path / "masks", 6) if labelled == "masks" else lambda i: i
    of = source(images(tmp_path / "in", 6), label)
    write(of, tmp_path / "whole.bin")
    whole = (tmp_path / "whole.bin").read_bytes()
    size = header(tmp_path / "whole.bin").shape.record_bytes
    for spoil in ("cut", "altered", "garbage"):
        with pytest.raises(Stop):
            write(of, tmp_path / "d.bin", progress=stopping(4))
        left = partial(tmp_path).read_bytes()
        assert left[HEADER_BYTES:] == whole[HEADER_BYTES : HEADER_BYTES + 4 * size]
        left = {"cut": left[:-3], "altered": left[:-3] + b"???", "garbage": left + bytes(size)}[spoil]
        partial(tmp_path).write_bytes(left)
        written = write(of, tmp_path / "d.bin")
        assert written.resumed == (4 if spoil == "garbage" else 3)
        assert (tmp_path / "d.bin").read_bytes() == whole


def test_what_another_run_began_is_begun_anew(tmp_path):
    paths = images(tmp_path / "in", 6)
    others = [
        source(paths, preprocessing=DECLARED.changed(mean=0)),
        source(paths[:5]),
        source(paths, masks(tmp_path / "masks", 6)),
    ]
    for other in others:
        with pytest.raises(Stop):
            write(other, tmp_path / "d.bin", progress=stopping(4))
        assert write(source(paths), tmp_path / "d.bin").resumed == 0
    with pytest.raises(Stop):
        write(source(paths), tmp_path / "d.bin", progress=stopping(4))
    os.utime(paths[5], ns=(1, 1))  # an image has changed
    assert write(source(paths), tmp_path / "d.bin").resumed == 0


def test_an_image_that_cannot_be_read_stops_and_leaves_nothing(tmp_path):
    paths = images(tmp_path / "in", 6)
    paths[4].write_bytes(b"no image")
    with pytest.raises(DataError, match=r"cannot read the image .*4\.png"):
        write(source(paths), tmp_path / "d.bin", workers=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_or_it_is_skipped_and_counted_also_after_an_interruption(tmp_path):
    paths = images(tmp_path / "in", 8)
    for bad in (0, 2, 3, 7):
        paths[bad].write_bytes(b"no image")
    of = source(paths)
    written = write(of, tmp_path / "whole.bin", on_error="skip")
    assert (written.samples, len(written.skipped)) == (4, 4)
    with pytest.raises(Stop):
        write(of, tmp_path / "d.bin", on_error="skip", progress=stopping(6))
    again = write(of, tmp_path / "d.bin", on_error="skip")
    assert (again.samples, again.resumed, again.skipped) == (4, 3, written.skipped)
    assert (tmp_path / "d.bin").read_bytes() == (tmp_path / "whole.bin").read_bytes()
    with pytest.raises(DataError, match="holds no image that can be read: cannot read"):
        write(source([paths[0]]), tmp_path / "none.bin", on_error="skip")


def test_a_file_of_others_is_refused_one_of_ours_replaced(tmp_path):
    of = source(images(tmp_path / "in", 2))
    (tmp_path / "d.bin").write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"cannot write '.*d\.bin': a file is there that"):
        write(of, tmp_path / "d.bin")
    assert (tmp_path / "d.bin").read_bytes() == b"precious"
    (tmp_path / "d.bin").write_bytes(MAGIC + b"older")
    write(of, tmp_path / "d.bin")
    assert header(tmp_path / "d.bin").samples == 2


def test_a_full_disk_shows_before_the_work(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(0, 0, 500))
    of = source(images(tmp_path / "in", 9))
    with pytest.raises(OutputError, match=r"GiB are still to be written, and 0\.0 GiB are free there"):
        write(of, tmp_path / "d.bin")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
