"""Synthetic data in the formats of real data sets, for each family of models.

A sample depends only on (seed, split, index), so any number of samples and workers gives the same samples, byte for
byte with the same versions of NumPy and Pillow.
"""

from tinyint.extras.synthetic.make import FAMILIES, Made, make

__all__ = ["FAMILIES", "Made", "make"]
