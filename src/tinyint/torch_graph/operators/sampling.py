"""Sampling of an image between its pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["bilinear"]


def bilinear(image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Bilinear samples (B, C, P) of the image (B, C, H, W).

    The image is zero outside. `y`, `x`: positions in pixels, (B, P). torch takes positions in units of half the image's
    size. The image is padded to powers of two, so that this division is exact and a whole pixel stays one.
    """
    height, width = (1 << (size - 1).bit_length() for size in image.shape[2:])
    image = functional.pad(image, (0, width - image.shape[3], 0, height - image.shape[2]))
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)
    return functional.grid_sample(image, grid[:, None], align_corners=False)[:, :, 0]
