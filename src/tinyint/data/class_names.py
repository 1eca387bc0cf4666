"""Class names in a `labels.txt` beside a list file or table.

It has one name per line, from class 0.
"""

from __future__ import annotations

import os
from pathlib import Path

from tinyint.errors import DataError

__all__ = ["LABELS_FILE", "names_beside"]

LABELS_FILE = "labels.txt"


def names_beside(folder: Path) -> tuple[str, ...] | None:
    """Names in the folder's labels.txt, or None without one.

    Raises DataError if it is unreadable.
    """
    path = folder / LABELS_FILE
    if not os.path.isfile(path):
        return None
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataError(f"cannot read the names of the classes in {path}: {reason}") from None
    names = [line.strip() for line in text.rstrip().split("\n")]
    if "" in names:
        raise DataError(f"{path}, line {names.index('') + 1}: the class {names.index('')} has no name")
    return tuple(names)
