"""Synthetic data in the real formats, for each family of models.

Every sample is a function of (seed, split, index) alone, so that any number of samples and of workers gives the same
ones, byte for byte with the same versions of NumPy and Pillow.
"""

from tinyint.extras.synthetic.make import FAMILIES, Made, make

__all__ = ["FAMILIES", "Made", "make"]
