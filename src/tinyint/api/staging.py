"""Several files that appear together, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyint.errors import OutputError
from tinyint.graph.io import require_writable

__all__ = ["staged"]


@contextmanager
def staged(output: Path | None, *, keep: Iterable[object] = ()) -> Iterator[Path]:
    """A directory to write `output` and what goes beside it into; at the end its files are moved to their place.

    It lies beside `output`, so that moving is renaming, and a place that cannot be written shows before the work is
    done. On an error or Ctrl-C the files that stood there before are as they were. Without `output`, the files are
    gone at the end. Raises OutputError, also where `output` is among `keep`, the files that are read.
    """
    if output is None:
        with tempfile.TemporaryDirectory(prefix="tinyint-") as scratch:
            yield Path(scratch)
        return
    require_writable(output, keep=keep)
    scratch_directory = output.with_name(f".{output.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        try:
            scratch_directory.mkdir()
        except OSError as error:
            raise _refused(output, error) from error
        try:
            yield scratch_directory
        except OutputError as error:  # about a file in the scratch directory; the user knows its place
            raise OutputError(str(error).replace(str(scratch_directory), str(output.parent))) from error
        try:
            _publish(scratch_directory, output.parent)
        except OSError as error:
            raise _refused(output, error) from error
    finally:
        shutil.rmtree(scratch_directory, ignore_errors=True)


def _refused(output: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write '{output}': {error.strerror or error}; free space or choose a writable place. "
        "Nothing was changed"
    )


def _publish(scratch: Path, directory: Path) -> None:
    """Renames each file of `scratch` into `directory`; if one fails, those that were replaced come back."""
    old = scratch / "replaced"
    files = sorted(path for path in scratch.iterdir() if path.is_file())
    old.mkdir()
    moved: list[Path] = []
    try:
        for path in files:
            place = directory / path.name
            if place.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(place))
            if place.exists():
                os.replace(place, old / path.name)
            moved.append(path)
            os.replace(path, place)
    except BaseException:
        for path in moved:
            place = directory / path.name
            if not path.exists():
                place.unlink(missing_ok=True)
        for path in old.iterdir():
            os.replace(path, directory / path.name)
        raise
