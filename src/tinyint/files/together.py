"""Several files that appear together, or not at all.

They are written into a directory beside their destination, and renamed at the end. The main file comes last, so that it
is never newer than its companions, and never missing if it existed before. From the first rename on, the directory
holds a journal. If the writer is killed in between, the next one renames the rest. If a rename fails, the journal
becomes a list of renames to undo, which the next writer also completes if need be.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from tinyint.errors import OutputError
from tinyint.files.leftover import OWN, locked, temporary
from tinyint.files.place import followed, hand_on, refusals, require_writable, to_disk

__all__ = ["written_together"]

Journal: TypeAlias = dict[str, list[int] | None]
"""`_identity` of each destination before the first rename."""


@contextmanager
def written_together(path: str | Path, *, keep: Iterable[object] = ()) -> Iterator[Path]:
    """Temporary directory for `path.name` and its companions, published together at the end.

    Whether `path` is writable is checked before the work. On an error or Ctrl-C, the old files are unchanged. If `path`
    is a link, its target is written, and the companions beside the target. Raises OutputError, also if `path` is among
    the input files `keep`.
    """
    place = followed(path)
    require_writable(place, keep=keep)
    with ExitStack() as stack:
        with refusals(place):
            scratch = stack.enter_context(temporary(place, _finish, directory=True))
        try:
            yield scratch
        except (
            OutputError
        ) as error:  # it names a file in the scratch directory; the user knows its destination
            raise OutputError(str(error).replace(str(scratch), str(place.parent))) from error
        with refusals(place):
            _publish(scratch, place)


def _publish(scratch: Path, place: Path) -> None:
    """Renames the files of `scratch` into the directory of `place`.

    If one fails, those before it are undone.
    """
    files = (path.relative_to(scratch) for path in scratch.rglob("*") if path.is_file())
    names = sorted(
        (name for name in files if name.parts[0] != OWN), key=lambda name: (name == Path(place.name), name)
    )
    directory, own = place.parent, scratch / OWN
    with locked(directory):
        for name in names:
            if (directory / name).is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(directory / name))
            to_disk(scratch / name)
            hand_on(directory / name, scratch / name)
            _back_up(directory / name, own / "old" / name)
        journal: Journal = {str(name): _identity(directory / name) for name in names}
        (own / "planned").write_text(json.dumps(journal), encoding="utf-8")
        to_disk(own / "planned")
        os.replace(own / "planned", own / "journal")
        to_disk(own)
        try:
            _move(scratch, directory, names)
        except BaseException:
            os.replace(own / "journal", own / "back")
            _undo(scratch, directory, journal)
            raise


def _back_up(path: Path, backup: Path) -> None:
    """Keeps the file that will be replaced, as a hard link or else a copy."""
    if not path.exists():
        return
    backup.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, backup)
    except OSError:
        shutil.copy2(path, backup)


def _identity(path: Path) -> list[int] | None:
    """Size and time of a file, by which a change shows; None without a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _move(scratch: Path, directory: Path, names: Iterable[Path]) -> None:
    directories = {directory}
    for name in names:
        place = directory / name
        place.parent.mkdir(parents=True, exist_ok=True)
        directories.add(place.parent)
        os.replace(scratch / name, place)
    for path in directories:
        to_disk(path)


def _undo(scratch: Path, directory: Path, journal: Journal) -> None:
    for name, before in journal.items():
        if (scratch / name).exists():  # it was never moved
            continue
        if before is None:
            (directory / name).unlink(missing_ok=True)
        elif (backup := scratch / OWN / "old" / name).exists():
            os.replace(backup, directory / name)


def _finish(scratch: Path) -> None:
    """Completes a killed writer's renames, unless the destinations have changed since.

    If it was undoing them, that is completed.
    """
    directory, own = scratch.parent, scratch / OWN
    with suppress(FileNotFoundError):
        _undo(scratch, directory, json.loads((own / "back").read_text(encoding="utf-8")))
    with suppress(FileNotFoundError):
        journal: Journal = json.loads((own / "journal").read_text(encoding="utf-8"))
        remaining = [Path(name) for name in journal if (scratch / name).exists()]
        if all(_identity(directory / name) == journal[str(name)] for name in remaining):
            _move(scratch, directory, remaining)
