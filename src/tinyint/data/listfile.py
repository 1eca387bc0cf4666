"""Folder of images with a list file of `path label` or `path` lines.

There is one line per image, and all have the same form. Path and label are separated by a tab or spaces; a path may
contain spaces. Labels are whole numbers from 0, or paths of label images, in all lines alike. Paths are relative to the
folder. Empty lines and lines that begin with # are skipped.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tinyint.data.images import ImageFile, is_image_name
from tinyint.data.picture import MaskFile
from tinyint.errors import DataError

_LABEL = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Entry:
    """Line of a list file.

    `label`: class number, path of a label image, or None.
    """

    path: str
    label: int | str | None
    line: int


def parse_list(text: str, origin: str) -> list[Entry]:
    """Entries of a list file's text, which messages call `origin`.

    Raises DataError, with the line, for a wrong label, or if only some lines have one; also if there are no entries.
    """
    entries = []
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff")), start=1):
        line = line.strip()
        if line and not line.startswith("#"):
            entries.append(_parse_line(line, number, origin))
    if not entries:
        raise DataError(f"{origin} lists no images; expected lines of the form 'path label'")
    labelled = entries[0].label is not None
    for entry in entries:
        if (entry.label is not None) != labelled:
            without, having = (entry, entries[0]) if labelled else (entries[0], entry)
            raise DataError(
                f"{origin}, line {without.line}: {without.path!r} has no label, but line {having.line} has one; "
                "give every image a label, or none"
            )
        if labelled and type(entry.label) is not type(entries[0].label):
            raise DataError(
                f"{origin}, line {entry.line}: the label of {entry.path!r} is {entry.label!r}, but line "
                f"{entries[0].line} has {entries[0].label!r}; give class numbers or label images, not both"
            )
    return entries


def _parse_line(line: str, number: int, origin: str) -> Entry:
    if "\0" in line:
        raise DataError(f"{origin}, line {number}: not text (it holds a zero byte)")
    path, *rest = line.rsplit("\t" if "\t" in line else None, 1)
    if not rest:
        return Entry(path, None, number)
    path, label = path.rstrip(), rest[0].strip()
    if _LABEL.fullmatch(label):
        return Entry(path, int(label), number)
    if is_image_name(line):
        return Entry(path, label, number) if is_image_name(path) else Entry(line, None, number)
    raise DataError(
        f"{origin}, line {number}: the label {label!r} of {path!r} is neither a whole number from 0 to 999999999 nor "
        "an image"
    )


def read_list(list_file: Path, root: Path) -> list[ImageFile]:
    """Images of a list file, in its order.

    Raises DataError, with file and line, for a wrong line or a missing image.
    """
    files = []
    for entry in parse_list(_read_text(list_file), str(list_file)):
        path = root / entry.path
        if not os.path.isfile(path):
            raise DataError(f"{list_file}, line {entry.line}: there is no image {entry.path!r} in {root}")
        label = entry.label
        if isinstance(label, str):
            if not os.path.isfile(root / label):
                raise DataError(
                    f"{list_file}, line {entry.line}: there is no label image {label!r} in {root}"
                )
            files.append(ImageFile(path, entry.path, MaskFile(root / label, label)))
        else:
            files.append(ImageFile(path, entry.path, label))
    return files


def find_list(root: Path) -> Path | None:
    """List file of a folder, or None; raises DataError if there are several.

    It is a .txt file with `list` in its name, or whose first entry begins with an image's name.
    """
    try:
        names = sorted(name for name in os.listdir(root) if name.lower().endswith(".txt") and name[0] != ".")
    except OSError as error:
        raise DataError(f"cannot read the folder {root}: {error.strerror}") from None
    lists = [name for name in names if os.path.isfile(root / name) and _is_list(root / name)]
    if len(lists) > 1:
        raise DataError(
            f"{root} holds several list files ({', '.join(lists)}): choose one with {root}:{lists[0]}"
        )
    return root / lists[0] if lists else None


def _is_list(path: Path) -> bool:
    if "list" in path.stem.lower():
        return True
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            head = [file.readline(10_000).strip().lstrip("\ufeff") for _ in range(100)]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    first = next((line for line in head if line and not line.startswith("#")), "")
    return is_image_name(first) or is_image_name(re.split(r"\t|\s+(?=\S+$)", first)[0])


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a list file in UTF-8 (byte {error.start})") from None
    except OSError as error:
        raise DataError(f"cannot read the list file {path}: {error.strerror}") from None
