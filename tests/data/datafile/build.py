"""Data files of a few small images, and what they are to hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tinyint.data import Boxes, Preprocessing, Sample
from tinyint.data.datafile.layout import HEADER_BYTES, Header
from tinyint.data.datafile.write import Written, write_data_file
from tinyint.data.images import ImageSource
from tinyint.data.picture import ImageFile, MaskFile
from tinyint.runtimes.base import TensorSpec

DECLARED = Preprocessing(resize=(4, 6), mean=(0.5, 0.25, 0.125), std=(0.5, 0.3, 0.2))


def images(folder: Path, count: int, size: tuple[int, int] = (9, 7), mode: str = "RGB") -> list[Path]:
    """Image files of noise, `size` being (width, height)."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    channels = (3,) if mode == "RGB" else ()
    paths = [folder / f"{i}.png" for i in range(count)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (*size[::-1], *channels), dtype=np.uint8)).save(path)
    return paths


def source(
    paths: list[Path],
    label: Callable[[int], Any] = lambda i: i % 3,
    preprocessing: Preprocessing = DECLARED,
    classes: tuple[str, ...] | None = ("a", "b", "c"),
) -> ImageSource:
    """The images with a label each, for an input that leaves height and width open."""
    axes = tuple(3 if axis == preprocessing.channels == 3 else axis for axis in preprocessing.axes())
    return ImageSource(
        name="pics",
        files=[ImageFile(path, path.name, label(i)) for i, path in enumerate(paths)],
        spec=TensorSpec(name="x", dtype=np.dtype("float32"), shape=(None, *axes)),
        preprocessing=preprocessing,
        classes=classes,
    )


def write(of: ImageSource, path: Path, values: Any = "uint8", **options: Any) -> Written:
    return write_data_file(of, path, values, **{"progress": lambda *_: None} | options)


def header(path: Path) -> Header:
    content = path.read_bytes()
    return Header.unpack(content[:HEADER_BYTES], len(content), path)


def boxes(i: int) -> Boxes:
    """i boxes."""
    return Boxes(
        boxes=np.arange(4 * i, dtype=np.float32).reshape(i, 4) / 3,
        classes=np.arange(i, dtype=np.int64),
        crowd=np.arange(i) % 2 == 1,
        areas=np.full(i, 0.1, np.float32),
        size=(7, 9),
        image_id=10**12 + i,
    )


def masks(folder: Path, count: int) -> Callable[[int], MaskFile]:
    """Label images (7, 9) of the classes 0 to 3."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    for i in range(count):
        Image.fromarray(rng.integers(0, 4, (7, 9), dtype=np.uint8)).save(folder / f"{i}.png")
    return lambda i: MaskFile(folder / f"{i}.png", f"{i}.png")


def assert_same(got: Sample, wanted: Sample) -> None:
    """Equal to the bit, labels and names too."""
    assert got.name == wanted.name
    for name, array in wanted.inputs.items():
        assert got.inputs[name].dtype == array.dtype
        np.testing.assert_array_equal(got.inputs[name], array, strict=True)
    if isinstance(wanted.label, Boxes):
        assert isinstance(got.label, Boxes)
        for key in ("boxes", "classes", "crowd", "areas"):
            np.testing.assert_array_equal(getattr(got.label, key), getattr(wanted.label, key), strict=True)
        assert (got.label.size, got.label.image_id) == (wanted.label.size, wanted.label.image_id)
    else:
        np.testing.assert_array_equal(np.asarray(got.label), np.asarray(wanted.label), strict=True)
