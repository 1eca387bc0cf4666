"""Samples for the proof: unseen by calibration, where possible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinyint.data import Dataset, Sample, content_key
from tinyint.data.open import describe_skipped
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.report.words import counted

__all__ = ["PROOF_SAMPLES", "ProofData"]

PROOF_SAMPLES = 64


@dataclass(kw_only=True)
class ProofData:
    """Up to `PROOF_SAMPLES` of a dataset, without those in `record`.

    None: with all.

    Places in the data say nothing where these shuffle, so samples are known by what they hold.
    """

    dataset: Dataset
    record: CalibrationRecord | None
    left_out: int = 0

    def __iter__(self) -> Iterator[Sample]:
        given = 0
        for sample in self.dataset:
            if self.record is not None and self.record.saw(content_key(sample)):
                self.left_out += 1
                continue
            yield sample
            given += 1
            if given == PROOF_SAMPLES:
                return

    @property
    def total(self) -> int | None:
        known = self.dataset.len_hint
        return None if known is None else min(known, PROOF_SAMPLES)

    def notes(self) -> Iterator[str]:
        """Notes on the samples for the user, after they have been read."""
        if self.left_out:
            yield (
                f"the proof left out {counted(self.left_out, 'sample')} that calibration has seen, although they come "
                "after its own: the data are in another order on each pass, or hold copies"
            )
        if self.dataset.skipped:
            yield f"in the proof, {describe_skipped(self.dataset.skipped)}"
