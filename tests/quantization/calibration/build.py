"""Samples of a model, and their calibration."""

from pathlib import Path

from tests.models import noise
from tinyint.data import Sample
from tinyint.quantization.calibration import CalibrationRecord, calibrate


def samples_of(model, count=6, seed=0) -> list[Sample]:
    return [Sample(inputs, name=f"s{i}") for i, inputs in enumerate(noise(model, count, seed))]


def run(model, samples, **options) -> CalibrationRecord:
    return calibrate(model, samples, fingerprint="f", threads=1, **options)


def saved(record: CalibrationRecord, path: Path) -> bytes:
    record.save(path)
    return path.read_bytes()
