"""MiniLM: sentences to unit vectors, with its own weights (`benchmarks/minilm.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from minilm import export_minilm, sentences, tokenize
from pretrained.network import Array, Samples, rows

__all__ = ["SentenceEncoder"]

_LENGTH = 64
_MOST = 20_000  # texts that are told apart


class SentenceEncoder:
    """What counts: the angle to float's vector, and whether the nearest other sentence is the same."""

    name = "minilm"

    def export(self, folder: Path) -> Path:
        path = folder / "minilm.onnx"
        return path if path.exists() else export_minilm(path)

    def samples(self, count: int, seed: int) -> Samples:
        texts = sentences(_MOST)
        chosen = np.random.default_rng(0).permutation(len(texts))
        texts = [texts[i] for i in chosen[seed * 4000 :][:count]]
        assert len(texts) == count, f"only {len(texts)} sentences for seed {seed}"
        arrays = tokenize(texts, length=_LENGTH)
        return Samples(
            [{key: array[i : i + 1] for key, array in arrays.items()} for i in range(count)], texts
        )

    def metrics(self, _: Samples, expected: Sequence[Array], outputs: Sequence[Array]) -> dict[str, Array]:
        ours, floats = rows(outputs), rows(expected)
        return {
            "cosine": (ours * floats).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(floats, axis=1),
            "nearest": _nearest(ours) == _nearest(floats),
        }


def _nearest(vectors: Array) -> Array:
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -np.inf)
    return likeness.argmax(1)
