"""Pictures, masks and JSON of `predict`, published in a directory together or not."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from tinyint.data.images import ImageFile
from tinyint.errors import OutputError
from tinyint.files import refusals, require_writable, written_together
from tinyint.files.jsonable import to_json
from tinyint.tasks import TASKS
from tinyint.tasks.pictures import is_own_picture, save_picture
from tinyint.tasks.prediction import Prediction

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["PREDICTIONS", "Album", "album"]

PREDICTIONS = "predictions.json"
"""Beside the pictures."""


@contextmanager
def album(directory: Path, images: Sequence[ImageFile]) -> Iterator[Album]:
    """Album in `directory`, which is made if missing.

    `images`: those that are read.

    Raises OutputError, before the work, where a picture would come among the images that are read, or where a file is
    that no earlier `predict` wrote.
    """
    place = _Places()
    planned = [place.of(file.name) for file in images]
    _require_apart(directory, planned, images)
    _require_ours(directory, [PurePath(PREDICTIONS), *(p for c in planned for p in (_picture(c), _mask(c)))])
    with _made(directory), written_together(directory / PREDICTIONS) as scratch:
        made = Album(directory, scratch)
        yield made
        made.close()


class Album:
    """Takes predictions as they come."""

    def __init__(self, directory: Path, scratch: Path) -> None:
        self.directory = directory
        self.pictures = 0
        self._scratch = scratch
        self._places = _Places()
        self._files: list[PurePath] = [PurePath(PREDICTIONS)]
        self._entries: list[dict[str, object]] = []

    def add(self, name: str, prediction: Prediction) -> None:
        place = self._places.of(name)
        files = {}
        if prediction.picture is not None:
            files["picture"] = self._write(_picture(place), prediction.picture)
            self.pictures += 1
        if prediction.mask is not None:
            files["mask"] = self._write(_mask(place), prediction.mask)
        self._entries += [entry | files for entry in prediction.entries]

    def close(self) -> None:
        with refusals(self.directory / PREDICTIONS):
            (self._scratch / PREDICTIONS).write_text(to_json(self._entries) + "\n", encoding="utf-8")
        _require_ours(self.directory, self._files)

    def _write(self, place: PurePath, image: Image.Image) -> str:
        path = self._scratch / place
        with refusals(self.directory / place):
            path.parent.mkdir(parents=True, exist_ok=True)
            save_picture(image, path)
        self._files.append(place)
        return place.as_posix()


class _Places:
    """Names of pictures within the directory, without an ending; no two of their files are one."""

    def __init__(self) -> None:
        self._taken: set[PurePath] = set()

    def of(self, name: str) -> PurePath:
        """The sample's name without its ending; with it, or with a number, where that is taken already."""
        parts = [part for part in PurePath(name).parts if part not in ("..", PurePath(name).anchor)]
        whole = PurePath(*parts) if parts else PurePath("sample")
        numbered = (whole.with_name(f"{whole.name}-{n}") for n in itertools.count(2))
        for place in itertools.chain((whole.with_suffix(""), whole), numbered):
            files = {_picture(place), _mask(place)}
            if not files & self._taken:
                break
        self._taken |= files
        return place


def _picture(place: PurePath) -> PurePath:
    return place.with_name(place.name + ".png")


def _mask(place: PurePath) -> PurePath:
    return place.with_name(place.name + ".mask.png")


def _require_apart(directory: Path, places: Iterable[PurePath], images: Iterable[ImageFile]) -> None:
    read = {os.path.realpath(folder) for folder in {image.path.parent for image in images}}
    for folder in (directory, *{directory / place.parent for place in places}):
        if os.path.realpath(folder) in read:
            raise OutputError(
                f"cannot write to '{folder}': the samples are read from it; choose another directory"
            )


def _require_ours(directory: Path, places: Iterable[PurePath]) -> None:
    for place in places:
        path = directory / place
        if os.path.lexists(path) and not _is_ours(path):
            raise OutputError(
                f"cannot write '{path}': a file of that name is there and not from an earlier `predict`; move it, or "
                "choose another directory"
            )


def _is_ours(path: Path) -> bool:
    if path.is_symlink():
        return False
    try:
        if path.name != PREDICTIONS:
            return is_own_picture(path)
        entries = json.loads(path.read_text(encoding="utf-8"))
        known = {"picture", "mask"}.union(*(task.entry_keys for task in TASKS.values()))
        return isinstance(entries, list) and all({"file_name"} <= set(entry) <= known for entry in entries)
    except (OSError, ValueError, TypeError):
        return False


@contextmanager
def _made(directory: Path) -> Iterator[None]:
    """The directory is there; on an error, what had to be made for it is gone again."""
    missing = list(
        itertools.takewhile(lambda path: not os.path.exists(path), (directory, *directory.parents))
    )
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the directory '{directory}': {error.strerror}; choose another"
        ) from None
    require_writable(directory / PREDICTIONS)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for path in missing:
                path.rmdir()
        raise
