"""Values of an image between its pixels."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["bilinear"]


def bilinear(image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """The image (B, C, H, W) at the places (y, x), each (B, P), in pixels: (B, C, P). Outside of it there is zero."""
    top, left = y.floor(), x.floor()
    down, right = (y - top)[:, None], (x - left)[:, None]
    total = torch.zeros((), dtype=image.dtype, device=image.device)
    for dy, wy in ((0, 1 - down), (1, down)):
        for dx, wx in ((0, 1 - right), (1, right)):
            total = total + wy * wx * _pixels(image, top.long() + dy, left.long() + dx)
    return total


def _pixels(image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    batch, channels, height, width = image.shape
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    flat = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
    found = image.flatten(2).gather(2, flat[:, None].expand(batch, channels, -1))
    return found * inside[:, None]
