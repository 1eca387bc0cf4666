"""Writer of data files, parallel and resumable."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, TypeAlias

import numpy as np

from tinyint.data.datafile.layout import (
    HEADER_BYTES,
    MAGIC,
    SECTIONS,
    Header,
    Section,
    Shape,
    Values,
    unfinished_header,
)
from tinyint.data.datafile.sections import pack_sections
from tinyint.data.images import ImageSource, file_identity, read_ahead
from tinyint.data.picture import ImageFile, MaskFile
from tinyint.errors import DataError, OutputError
from tinyint.files import partial_file

__all__ = ["Written", "write_data_file"]


Progress: TypeAlias = Callable[[str, int, int | None], object]  # step, amount done, total


@dataclass(frozen=True, kw_only=True)
class Written:
    """Facts of a written file; `resumed` samples were there already."""

    shape: Shape
    samples: int
    file_bytes: int
    resumed: int
    skipped: tuple[str, ...]


def write_data_file(
    source: ImageSource,
    output: Path,
    values: Values,
    *,
    on_error: Literal["stop", "skip"] = "stop",
    workers: int = 1,
    progress: Progress,
) -> Written:
    """Writes the images of a source, whose preprocessing gives all of them one size.

    The bytes depend on the images and the declaration alone. Raises DataError for an image that cannot be read, unless
    it is skipped, and OutputError.
    """
    writer = _RecordWriter(
        source, Shape.of(source.preprocessing, values, source.label_kind), on_error == "skip"
    )
    identity = writer.identity()
    with partial_file(output, MAGIC) as file:
        found = writer.found(file, identity, progress)
        writer.require_space(output, HEADER_BYTES + len(found) * writer.shape.record_bytes)
        places = [*found, *writer.append(file, writer.next_place, workers, progress)]
        header = writer.finish(file, [source.files[place] for place in places])
    return Written(
        shape=writer.shape,
        samples=len(places),
        file_bytes=header.file_bytes,
        resumed=len(found),
        skipped=tuple(writer.skipped),
    )


@dataclass
class _RecordWriter:
    source: ImageSource
    shape: Shape
    skips: bool

    def __post_init__(self) -> None:
        self.skipped: list[str] = []
        self.next_place = 0  # of the images listed, the first that is still to be read

    def identity(self) -> bytes:
        """Hash of all that the records depend on, the images by path, size and time."""
        digest = hashlib.sha256(f"{self.shape}|{self.source.preprocessing.dump()}".encode())
        for file in self.source.files:
            digest.update(os.fsencode(file_identity(file.path)))
            if isinstance(label := file.label, MaskFile):
                digest.update(os.fsencode(file_identity(label.path)))
        return digest.digest()

    def found(self, file: IO[bytes], identity: bytes, progress: Progress) -> list[int]:
        """Places of the records that an interrupted writer of the same work left; the file ends after them."""
        start, size = unfinished_header(identity), self.shape.record_bytes
        places: list[int] = []
        if file.read(HEADER_BYTES) == start:
            while len(record := file.read(size)) == size and self._goes_on(record):
                places.append(self.next_place - 1)
                progress("resume", len(places), None)
        file.seek(0)
        file.write(start)
        file.truncate(HEADER_BYTES + len(places) * size)
        file.seek(0, os.SEEK_END)
        return places

    def _goes_on(self, record: bytes) -> bool:
        """Whether it is the next record; images between that one and the last still cannot be read."""
        place = self.shape.place_of(record)
        if place is None or not self.next_place <= place < len(self.source.files):
            return False
        between = [self.record((i, self.source.files[i])) for i in range(self.next_place, place)]
        errors = [str(each) for each in between if isinstance(each, DataError)]
        if len(errors) < len(between) or (errors and not self.skips):
            return False
        self.skipped += errors
        self.next_place = place + 1
        return True

    def require_space(self, output: Path, there: int) -> None:
        """Raises OutputError where the disk has no room for what is still to be written."""
        needed = HEADER_BYTES + len(self.source.files) * self.shape.record_bytes - there
        free = shutil.disk_usage(output.parent).free
        if needed > free:
            raise OutputError(
                f"cannot write '{output}': {needed / 2**30:.1f} GiB are still to be written, and "
                f"{free / 2**30:.1f} GiB are free there; choose another place, fewer samples "
                "(--samples), or --dtype uint8"
            )

    def append(self, file: IO[bytes], start: int, workers: int, progress: Progress) -> Iterator[int]:
        """Appends the records from place `start` on; yields the places of those written."""
        files = self.source.files
        records = read_ahead(self.record, enumerate(files[start:], start), workers)
        for done, record in enumerate(records, start + 1):
            if isinstance(record, bytes):
                file.write(record)
                yield done - 1
            elif self.skips:
                self.skipped.append(str(record))
            else:
                records.close()
                raise record
            progress("preprocess", done, len(files))

    def record(self, item: tuple[int, ImageFile]) -> bytes | DataError:
        """Record of an image, or why it cannot be read."""
        place, file = item
        source, shape = self.source, self.shape
        try:
            picture = source.place(file, source.picture(file))
            if shape.values == "uint8":
                image = np.asarray(picture.image)
            else:
                (image,) = source.finish(file, picture).inputs.values()
        except DataError as error:
            return error
        mask = picture.label.tobytes() if isinstance(picture.label, np.ndarray) else b""
        return shape.record(image.astype(shape.dtype).tobytes(), mask, place)

    def finish(self, file: IO[bytes], files: Sequence[ImageFile]) -> Header:
        """Appends the sections, and turns the header into that of a finished file.

        At last, when all else is on the disk.
        """
        if not files:
            reasons = f": {self.skipped[0]}" if self.skipped else ""
            raise DataError(f"{self.source.name} holds no image that can be read{reasons}")
        contents = pack_sections(self.shape, files, self.source.preprocessing, self.source.classes)
        sections, start = {}, HEADER_BYTES + len(files) * self.shape.record_bytes
        for name in SECTIONS:
            sections[name] = Section.at(start, contents[name])
            start += sections[name].size
            file.write(contents[name])
        header = Header(shape=self.shape, samples=len(files), sections=sections)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        file.write(header.pack())
        return header
