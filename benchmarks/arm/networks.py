"""The networks that are measured: trained ones all."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from arm.files import Feeds
from models import inputs, model_file
from pretrained.ocr import Classifier
from processors import CALIBRATION, reference

__all__ = ["NETWORKS", "source"]

NETWORKS = (Classifier.name, "mobilenet_v1", "mobilenet_v2", "minilm")
"""PP-OCR's, two reference models, and a transformer."""


def source(network: str, folder: Path, samples: int) -> tuple[Path, list[Feeds], list[Feeds]]:
    """The float model, its calibration samples, and others."""
    own = folder / network
    own.mkdir(parents=True, exist_ok=True)
    if network == "minilm":
        every = inputs(network, CALIBRATION + samples)
        return model_file(network, own), every[:CALIBRATION], every[CALIBRATION:]
    if network == Classifier.name:
        classifier = Classifier()
        calibration, others = (
            list(classifier.samples(count, seed).feeds) for count, seed in ((CALIBRATION, 1), (samples, 2))
        )
        return classifier.export(own), calibration, others
    return reference(network, own, samples)
