"""Arithmetic of pixels as codes: zero-point, filters, and what is constant within the image.

With m = mean / scale and f = scale / std for each channel c, the network reads f · (p - m) of a pixel p, and 0 in its
padding. With a whole zero-point z for all channels,

    f · (p - m) = f · (p - z) + f · (z - m)

The first term is the code p of a tensor of scale s, with weights times f / s; its padding of 0 is the code z. The
second is constant within the image, and 0 outside. It is 0 where z = m for every channel. Else, without padding, it
goes into the bias, and with padding it is a channel more, of code d + z within the image, with the weights
Σ_c w · f / s · (z - m) / d.

With s near f, the weights are of about the network's size, and train as those do; a power of two rounds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Self

import numpy as np

from tinyint.data import Preprocessing
from tinyint.numbers.numerics import Array, FloatArray

__all__ = ["Filters", "PixelCodes", "level_of"]

_EXACT = 1e-4  # of a pixel's step: what float32 tells apart at 255
_MIDDLE, _BRIGHTEST = 128, 255
_FINER = 2  # than the weights of a filter need at least, so that they keep their own scale


@dataclass(frozen=True, kw_only=True)
class PixelCodes:
    """Pixels as codes with one scale and zero-point: y = factors · scale · (p - means).

    * `factors`, `means`: float64 (C,), in the order of the network's channels; `means` in pixels
    * `scale`: a power of two
    """

    factors: Array
    means: Array
    zero_point: int
    scale: float = 1.0

    @classmethod
    def of(cls, preprocessing: Preprocessing, *, symmetric: bool, scaled: bool) -> Self:
        """The zero-point is the mean, or the middle code where codes are `symmetric`.

        The scale is the one nearest to the network's if `scaled`, else 1.
        """
        shape, scale = (preprocessing.channels,), preprocessing.scale
        means = np.broadcast_to(np.array(preprocessing.mean) / scale, shape)
        factors = np.broadcast_to(scale / np.array(preprocessing.std), shape)
        mean = int(np.clip(np.rint(means.mean()), 0, _BRIGHTEST))
        scale = float(2.0 ** np.rint(np.log2(np.abs(factors).mean()))) if scaled else 1.0
        zero_point = _MIDDLE if symmetric else mean
        return cls(factors=factors / scale, means=means, zero_point=zero_point, scale=scale)

    @property
    def offsets(self) -> Array:
        """Distance of the zero-point from each mean, in pixels (C,)."""
        offsets = self.zero_point - self.means
        return np.where(np.abs(offsets) < _EXACT, 0.0, offsets)


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Weights of a first convolution for codes, float64 (O, C / groups, *kernel).

    `constant`: what each of their positions adds within the image, (O, *kernel).
    """

    weights: Array
    constant: Array

    @classmethod
    def of(cls, weight: FloatArray, groups: int, codes: PixelCodes) -> Self:
        outputs, inputs = weight.shape[:2]
        first = np.arange(outputs) // (outputs // groups) * inputs
        channels = first[:, None] + np.arange(inputs)  # that each filter reads
        along = (..., *(None,) * (weight.ndim - 2))
        weights = weight.astype(np.float64) * codes.factors[channels][along]
        return cls(weights=weights, constant=(weights * codes.offsets[channels][along]).sum(axis=1))

    @property
    def growth(self) -> Array:
        """Sum of the constants of a window within the image, for the bias (O,)."""
        growth: Array = self.constant.reshape(len(self.constant), -1).sum(axis=1)
        return growth

    @property
    def least_level(self) -> float:
        """Least level at which no weight of it is the largest of its filter."""
        largest = np.abs(self.weights).reshape(len(self.weights), -1).max(axis=1)
        constant = np.abs(self.constant).reshape(len(self.constant), -1).max(axis=1)
        live = largest > 0
        return float((constant[live] / largest[live]).max(initial=0.0))

    def with_level(self, level: int) -> Array:
        """Weights with those of one channel more, which holds the level within the image."""
        return np.concatenate([self.weights, self.constant[:, None] / level], axis=1)


def level_of(least: float, zero_point: int) -> int:
    """Level of the channel of constants, less the zero-point.

    A code on the side of the zero-point where there are more.
    """
    wanted = max(ceil(_FINER * least), 1)
    above, below = _BRIGHTEST - zero_point, zero_point
    return min(wanted, above) if above >= below else -min(wanted, below)
