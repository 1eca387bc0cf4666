"""Pixels of preprocessed images, for a module with folded preprocessing."""

from __future__ import annotations

import torch
from torch import Tensor

from tinyint.data import Preprocessing

__all__ = ["nearest_pixels"]

_BRIGHTEST = 255


@torch.no_grad()
def nearest_pixels(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Pixels uint8 (N, H, W, C), in RGB, nearest to preprocessed images.

    Of augmented images, whose values lie between those of pixels, this is the rounding of the input in int8.
    """
    last = images if preprocessing.layout == "NHWC" else images.movedim(1, -1)
    mean, std = (last.new_tensor(v, dtype=torch.float32) for v in (preprocessing.mean, preprocessing.std))
    pixels = ((last.float() * std + mean) / preprocessing.scale).round().clamp(0, _BRIGHTEST).to(torch.uint8)
    return (pixels.flip(-1) if preprocessing.color == "BGR" else pixels).contiguous()
