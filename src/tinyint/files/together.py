"""Several files that appear together, or not at all.

They are written into a directory beside their place, and renamed at the end, the main one last, so that it never is
newer than what goes with it, and is there at every moment if it was before. From the first rename on, the directory
holds a journal. Whoever is killed in between leaves it, and the next to write there renames the rest; where a rename
fails, the journal turns into a list of what to take back, which is likewise finished by the next if need be.
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
"""What stands at each place before the first rename, by `_facts`."""


@contextmanager
def written_together(path: str | Path, *, keep: Iterable[object] = ()) -> Iterator[Path]:
    """Temporary directory for `path.name` and its companions, published together at the end.

    A place that cannot be written shows before the work is done. On an error or Ctrl-C the files that stood there
    before are as they were. Where `path` is a link, what it leads to is written, and the rest beside that.
    Raises OutputError, also where `path` is among `keep`, the files that are read.
    """
    place = followed(path)
    require_writable(place, keep=keep)
    with ExitStack() as stack:
        with refusals(place):
            scratch = stack.enter_context(temporary(place, _finish, directory=True))
        try:
            yield scratch
        except OutputError as error:  # about a file in the scratch directory; the user knows its place
            raise OutputError(str(error).replace(str(scratch), str(place.parent))) from error
        with refusals(place):
            _publish(scratch, place)


def _publish(scratch: Path, place: Path) -> None:
    """Renames each file of `scratch` into the directory of `place`; if one fails, those before are taken back."""
    found = (path.relative_to(scratch) for path in scratch.rglob("*") if path.is_file())
    names = sorted(
        (name for name in found if name.parts[0] != OWN), key=lambda name: (name == Path(place.name), name)
    )
    directory, own = place.parent, scratch / OWN
    with locked(directory):
        for name in names:
            if (directory / name).is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(directory / name))
            to_disk(scratch / name)
            hand_on(directory / name, scratch / name)
            _set_aside(directory / name, own / "old" / name)
        journal: Journal = {str(name): _facts(directory / name) for name in names}
        (own / "planned").write_text(json.dumps(journal), encoding="utf-8")
        to_disk(own / "planned")
        os.replace(own / "planned", own / "journal")
        to_disk(own)
        try:
            _move(scratch, directory, names)
        except BaseException:
            os.replace(own / "journal", own / "back")
            _take_back(scratch, directory, journal)
            raise


def _set_aside(path: Path, kept: Path) -> None:
    """A second name for the file that will be replaced; a copy where there are no such names."""
    if not path.exists():
        return
    kept.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, kept)
    except OSError:
        shutil.copy2(path, kept)


def _facts(path: Path) -> list[int] | None:
    """What tells whether it is still the same file; None if there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return [facts.st_size, facts.st_mtime_ns]


def _move(scratch: Path, directory: Path, names: Iterable[Path]) -> None:
    touched = {directory}
    for name in names:
        place = directory / name
        place.parent.mkdir(parents=True, exist_ok=True)
        touched.add(place.parent)
        os.replace(scratch / name, place)
    for path in touched:
        to_disk(path)


def _take_back(scratch: Path, directory: Path, journal: Journal) -> None:
    for name, before in journal.items():
        if (scratch / name).exists():  # it was never moved
            continue
        if before is None:
            (directory / name).unlink(missing_ok=True)
        elif (kept := scratch / OWN / "old" / name).exists():
            os.replace(kept, directory / name)


def _finish(scratch: Path) -> None:
    """Ends what a killed writer had begun, unless the places have changed since."""
    directory, own = scratch.parent, scratch / OWN
    with suppress(FileNotFoundError):
        _take_back(scratch, directory, json.loads((own / "back").read_text(encoding="utf-8")))
    with suppress(FileNotFoundError):
        journal: Journal = json.loads((own / "journal").read_text(encoding="utf-8"))
        left = [Path(name) for name in journal if (scratch / name).exists()]
        if all(_facts(directory / name) == journal[str(name)] for name in left):
            _move(scratch, directory, left)
