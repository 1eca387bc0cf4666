"""Seeded noise with the statistics of photographs, for networks without trained weights.

Photographs have an amplitude spectrum of about 1/f and correlated channels, and differ in brightness, contrast and
sharpness (Field 1987; Ruderman 1994). White noise has none of this, and causes ranges that no deployed network has.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["natural_images"]


def natural_images(count: int, *, channels: int = 3, size: int = 224, seed: int = 0) -> NDArray[np.float32]:
    """Normalized images (count, channels, size, size) of about zero mean and unit variance.

    Image i depends only on `seed` and i, so a longer series begins with the shorter one.
    """
    return np.stack([_image(channels, size, np.random.default_rng((seed, i))) for i in range(count)])


def _image(channels: int, size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    slope, contrast, brightness = rng.uniform(0.8, 1.6), rng.uniform(0.4, 1.4), rng.normal(0, 0.5)
    rows, columns = np.fft.fftfreq(size), np.fft.rfftfreq(size)
    frequency = np.hypot(rows[:, None], columns[None, :])
    frequency[0, 0] = np.inf  # the mean is set below
    white = rng.standard_normal((1 + channels, size, size))
    mixed = white[0] + 0.5 * white[1:]  # the channels' common luminance, and their own colours
    pink = np.fft.irfft2(np.fft.rfft2(mixed) * frequency**-slope, s=(size, size))
    tint = rng.normal(0, 0.2, (channels, 1, 1))
    image = pink / max(float(pink.std()), 1e-12) * contrast + brightness + tint
    return np.clip(image, -2.2, 2.7).astype(np.float32)  # black and white after ImageNet's normalization
