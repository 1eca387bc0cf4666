"""EfficientNet-Lite0 with its ImageNet weights, on crops of photographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pretrained.efficientnet_lite0 import INPUT, crops, export
from pretrained.network import Array, Samples, rows

__all__ = ["PhotographClassifier"]


class PhotographClassifier:
    """What counts: the same class as float's, and how far the probabilities are from float's."""

    name = "efficientnet_lite0"

    def export(self, folder: Path) -> Path:
        path = folder / "efficientnet_lite0.onnx"
        return path if path.exists() else export(path)

    def samples(self, count: int, seed: int) -> Samples:
        return Samples([{INPUT: image[None]} for image in crops(count, seed=seed)], [None] * count)

    def metrics(self, _: Samples, expected: Sequence[Array], outputs: Sequence[Array]) -> dict[str, Array]:
        ours, floats = rows(outputs), rows(expected)
        p, q = _log_softmax(floats), _log_softmax(ours)
        return {
            "top-1 as float": ours.argmax(1) == floats.argmax(1),
            "KL": (np.exp(p) * (p - q)).sum(1),
        }


def _log_softmax(logits: Array) -> Array:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
