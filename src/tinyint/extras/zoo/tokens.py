"""Seeded token ids with the statistics of text, for untrained networks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["TEXT_INPUTS", "token_sequences"]

TEXT_INPUTS = ("input_ids", "token_type_ids", "attention_mask")
_PADDING, _FIRST, _SEPARATOR, _WORDS = 0, 1, 2, 3  # ids; words begin at the last


def token_sequences(
    count: int, *, vocabulary: int, length: int = 128, seed: int = 0
) -> dict[str, NDArray[np.int64]]:
    """Array (count, length) for each of `TEXT_INPUTS`: two sentences, then padding.

    Words are drawn by Zipf's law, and lengths at random. Sequence i depends only on `seed` and i.
    """
    rows = [_sequence(vocabulary, length, np.random.default_rng((seed, i))) for i in range(count)]
    return {name: np.stack([row[i] for row in rows]) for i, name in enumerate(TEXT_INPUTS)}


def _sequence(vocabulary: int, length: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(3, length): ids, types and mask."""
    used = int(rng.integers(max(4, length // 4), length + 1))
    second = int(rng.integers(2, used))  # where the second sentence begins
    ids, types, mask = np.full(length, _PADDING), np.zeros(length, np.int64), np.zeros(length, np.int64)
    ids[:used] = _WORDS + np.minimum(rng.zipf(1.2, used), vocabulary - _WORDS) - 1
    ids[0], ids[second - 1], ids[used - 1] = _FIRST, _SEPARATOR, _SEPARATOR
    types[second:used] = 1
    mask[:used] = 1
    return np.stack([ids, types, mask])
