"""What the tests of the data package share: input specs and image files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tinyint.runtimes.base import TensorSpec

PLAIN = {"scale": 1}  # pixels as they are


def spec(*shape: int | None, name: str = "x", dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name=name, dtype=np.dtype(dtype), shape=shape)


IMAGE = spec(None, 3, 4, 4)


def save_image(
    path: Path, color: tuple[int, int, int] = (10, 20, 30), size: tuple[int, int] = (4, 4)
) -> Path:
    """An image of one colour; `size` is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path
