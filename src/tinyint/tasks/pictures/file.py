"""Pictures as PNG files with a mark, by which they are recognized."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

__all__ = ["is_own_picture", "save_picture"]

_KEY, _MAKER = "Software", "tinyint predict"
_HEAD = 256  # bytes; the text comes before the pixels


def save_picture(image: Image.Image, path: Path) -> None:
    mark = PngInfo()
    mark.add_text(_KEY, _MAKER)
    image.save(path, "PNG", pnginfo=mark)


def is_own_picture(path: Path) -> bool:
    """Whether `save_picture` wrote the file. Raises OSError."""
    with path.open("rb") as file:
        return f"tEXt{_KEY}\0{_MAKER}".encode() in file.read(_HEAD)
