"""Seeded inputs for a network: images or token ids."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn

from tinyint.errors import ModelError
from tinyint.extras.zoo.images import natural_images
from tinyint.extras.zoo.tokens import token_sequences

__all__ = ["Size", "samples", "takes_text"]

Size: TypeAlias = int | tuple[int, int]
"""Height and width of images, or one number for both; for texts the number of tokens."""


def takes_text(module: nn.Module) -> bool:
    """Whether the network takes token ids."""
    return _vocabulary(module) is not None


def _vocabulary(module: nn.Module) -> int | None:
    """Size of a text network's vocabulary; None for other networks."""
    size = getattr(module, "vocabulary", None)
    return size if isinstance(size, int) else None


def samples(module: nn.Module, count: int, *, size: Size, seed: int = 0) -> tuple[Tensor, ...]:
    """Inputs of a network for `count` images or texts of `size`, on its device.

    Raises ModelError if it takes neither.
    """
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    vocabulary = _vocabulary(module)
    height, width = (size, size) if isinstance(size, int) else size
    if vocabulary is not None:
        arrays = token_sequences(count, vocabulary=vocabulary, length=width, seed=seed)
        return tuple(torch.from_numpy(array).to(device) for array in arrays.values())
    channels = _first_convolution(module).in_channels
    images = natural_images(count, channels=channels, size=max(height, width), seed=seed)
    return (torch.from_numpy(images[:, :, :height, :width]).to(device),)


def _first_convolution(module: nn.Module) -> nn.Conv2d:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            return layer
    raise ModelError(
        f"{type(module).__name__} has no convolution, so it takes no images; export it with torch.onnx"
    )
