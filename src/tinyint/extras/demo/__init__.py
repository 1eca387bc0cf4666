"""Small trained network and real images that ship with the package: handwritten digits.

`README.md` beside this file states their origin; `benchmarks/demo/train_digits.py` in the repository creates both.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["DATA_FILE", "MODEL_FILE", "SIZE", "demo_data", "demo_model_path", "upscale"]

MODEL_FILE = "mobilenet_digits.onnx"
DATA_FILE = "digits.npz"
SIZE = 96
"""Height and width of the network's input."""

_WHITE = 16  # a cell counts the black ones of 4×4 pixels of the scan


def demo_model_path() -> Path:
    """Path of the float network.

    Its input is "input" (batch, 1, 96, 96) float32, its output "logits" (batch, 10).
    """
    return Path(__file__).with_name(MODEL_FILE)


def demo_data(split: Literal["calibration", "test"]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images (N, 1, 96, 96) in the network's form, and their digits (N,).

    The calibration images are among those of the training, the test images are not.
    """
    with np.load(Path(__file__).with_name(DATA_FILE)) as arrays:
        return upscale(arrays[f"{split}_images"]), arrays[f"{split}_labels"].astype(np.int64)


def upscale(digits: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Preprocessing: digits (N, 8, 8) of 0..16, enlarged to (N, 1, 96, 96).

    The resize is bicubic; paper becomes -1, ink 1.
    """
    large = [
        Image.fromarray(digit.astype(np.float32)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        for digit in digits
    ]
    return (
        np.stack([np.asarray(image, dtype=np.float32) for image in large])[:, None] * np.float32(2 / _WHITE)
        - 1
    )
