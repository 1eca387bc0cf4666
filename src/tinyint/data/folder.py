"""Folder of images: class folders, or unlabelled images."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyint.data.images import ImageFile, is_image_name
from tinyint.errors import DataError


@dataclass(frozen=True)
class Folder:
    """Images of a folder in reading order, and notes for the user."""

    files: list[ImageFile]
    notices: list[str]
    classes: tuple[str, ...] | None = None


def read_folder(root: Path, *, labelled: bool = True) -> Folder:
    """Images under `root`, recognized by their file name endings.

    Subfolders, of any depth, are classes; a class's label is its index in the sorted names, as in torchvision's
    ImageFolder. The images alternate between the classes (the first of each, the second of each, …), so that any
    leading part of the data covers them evenly. Without subfolders, the images have no labels. Hidden files are
    skipped. If not `labelled`, images beside folders are taken, and the folders are skipped.

    Raises DataError if there is no image, a class is empty, or images lie beside class folders.
    """
    entries = _listing(root)
    flat = [entry.name for entry in entries if entry.is_file()]
    folders = [entry.name for entry in entries if entry.is_dir()]
    classes = tuple(os.fsencode(name).decode("utf-8", "backslashreplace") for name in folders)
    images = [name for name in flat if is_image_name(name)]
    if not classes or (images and not labelled):
        if not images:
            raise DataError(_nothing_found(root, flat))
        notices = [*_passed_over(flat, images), *_folders_passed_over(classes)]
        return Folder([ImageFile(root / name, name) for name in images], notices)
    if images:
        raise DataError(
            f"{root} holds images ({images[0]}, …) beside folders ({classes[0]}, …): it is unclear whether the "
            "folders are classes; move the images into them, or name a list file (FOLDER:LIST)"
        )
    return Folder(_in_turn(root, flat, folders), _order_notice(classes), classes)


def _in_turn(root: Path, flat: list[str], folders: list[str]) -> list[ImageFile]:
    """Images of the class folders: the first of each, the second of each, …"""
    per_class = [_class_files(root, name, label) for label, name in enumerate(folders)]
    if not any(per_class):
        raise DataError(_nothing_found(root, flat))
    empty = next((name for name, files in zip(folders, per_class, strict=True) if not files), None)
    if empty is not None:
        raise DataError(
            f"the class folder {root / empty} holds no image; remove it if it is no class "
            "(the labels of the others depend on it)"
        )
    turns = itertools.chain.from_iterable(itertools.zip_longest(*per_class))
    return [file for file in turns if file is not None]


def _listing(root: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(root) as entries:
            return sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        raise DataError(f"cannot read the folder {root}: {error.strerror}") from None


def _class_files(root: Path, name: str, label: int) -> list[ImageFile]:
    def fail(error: OSError) -> None:
        raise DataError(f"cannot read the folder {error.filename}: {error.strerror}")

    files = []
    for folder, below, names in os.walk(root / name, onerror=fail):
        below[:] = sorted(b for b in below if not b.startswith("."))
        for file in sorted(names):
            if is_image_name(file) and not file.startswith("."):
                path = Path(folder, file)
                files.append(ImageFile(path, str(path.relative_to(root)), label))
    return files


def _nothing_found(root: Path, flat: Sequence[str]) -> str:
    content = f"it holds {', '.join(flat[:3])}{', …' if len(flat) > 3 else ''}" if flat else "it is empty"
    return f"no images in {root}: {content}; expected class folders, images, or a list file"


def _passed_over(flat: Sequence[str], images: Sequence[str]) -> list[str]:
    others = sorted(set(flat) - set(images))
    return (
        [f"{len(others)} files are no images by their name and were passed over ({others[0]}, …)"]
        if others
        else []
    )


def _folders_passed_over(names: Sequence[str]) -> list[str]:
    count = "1 folder" if len(names) == 1 else f"{len(names)} folders"
    return [f"beside the images, {count} passed over ({names[0]}, …)"] if names else []


def _order_notice(classes: Sequence[str]) -> list[str]:
    """Notice if the class folders are numbers: 1, 2, …, 10 sort as 1, 10, 2, as in torchvision."""
    if all(name.isascii() and name.isdigit() for name in classes) and list(classes) != sorted(
        classes, key=int
    ):
        order = ", ".join(classes[:4])
        return [
            f"the class folders are numbers but are labelled in text order ({order}, …), as torchvision does"
        ]
    return []
