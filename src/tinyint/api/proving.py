"""Samples for the proof: unseen by calibration, where possible."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from tinyint.data import Dataset, HowMany, Sample, Samples, content_key
from tinyint.data.open import describe_skipped
from tinyint.errors import DataError
from tinyint.proof.prove import ProofSamples
from tinyint.quantization.calibrated import Calibration
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.pixels import PixelInput
from tinyint.report.words import counted
from tinyint.runtimes import TensorSpec
from tinyint.runtimes.run import Progress, Run

__all__ = ["PROOF_SAMPLES", "ProofData", "proof_data"]

PROOF_SAMPLES = 64


@dataclass(kw_only=True)
class ProofData:
    """Up to `most` samples of a dataset, without those in `record`.

    None: with all.

    Places in the data say nothing where these shuffle, so samples are known by what they hold: with `pixels`, by what
    the preprocessing makes of them.
    """

    dataset: Dataset
    record: CalibrationRecord | None
    most: int = PROOF_SAMPLES
    pixels: PixelInput | None = None
    left_out: int = 0

    def __iter__(self) -> Iterator[Sample]:
        given = 0
        for sample in self.dataset:
            if self.record is not None and self.record.saw(self._key(sample)):
                self.left_out += 1
                continue
            yield sample
            given += 1
            if given == self.most:
                return

    def _key(self, sample: Sample) -> bytes:
        return content_key(sample if self.pixels is None else self.pixels.preprocessed(sample))

    @property
    def total(self) -> int | None:
        known = self.dataset.len_hint
        return None if known is None else min(known, self.most)

    def notes(self) -> Iterator[str]:
        """Notes on the samples for the user, after they have been read."""
        if self.left_out:
            yield (
                f"the proof left out {counted(self.left_out, 'sample')} that calibration has seen, although they come "
                "after its own: the data are in another order on each pass, or hold copies"
            )
        if self.dataset.skipped:
            yield f"in the proof, {describe_skipped(self.dataset.skipped)}"


@dataclass(frozen=True, kw_only=True)
class _Rest:
    """The data of a calibration, to be read once more."""

    samples: Samples
    inputs: Sequence[TensorSpec]
    used: int  # samples from their start that calibration has read
    pixels: PixelInput | None  # where they are pixels that the model resizes

    def opened(self, limit: HowMany = "all", used: int = 0) -> Dataset:
        skip = self.samples.skip + used
        return replace(self.samples, limit=limit, skip=skip).open(self.inputs, {})

    def unseen(self, record: CalibrationRecord | None) -> ProofData | None:
        """Samples after the calibration set; None where their number says that there are none."""
        known = self.opened().len_hint
        if known is not None and known <= self.used:
            return None
        return ProofData(dataset=self.opened(used=self.used), record=record, pixels=self.pixels)

    def first_of(self, samples: Iterator[Sample]) -> Sample | None:
        try:
            return next(samples, None)
        except DataError:
            if self.used and self.opened().len_hint is None:
                return None  # it ended with the last calibration sample
            raise


def proof_data(
    samples: Samples,
    calibration: Calibration,
    record: CalibrationRecord | None,
    inputs: Sequence[TensorSpec],
    run: Run,
    pixels: PixelInput | None = None,
) -> tuple[ProofSamples, ProofData] | None:
    """Samples unseen by calibration, else its own; None without data.

    With `pixels`, as the model with folded preprocessing takes them, which has the `inputs` where it resizes. The
    second value tells at the end what was left out.
    """
    if calibration.data is None:
        return None
    run.progress("verify", 0, None)
    used = 0 if record is None else record.samples
    if calibration.record is None and record is not None:
        used += len(calibration.data.skipped)
    # What declared the images of the calibration; arrays are taken as they are.
    whole = pixels if pixels is not None and pixels.resizes else None
    declared = replace(samples, preprocessing=whole.declaration if whole else calibration.data.preprocessing)
    rest = _Rest(samples=declared, inputs=inputs, used=used, pixels=whole)
    proving = rest.unseen(record)
    iterator = iter(proving or ())
    first = rest.first_of(iterator)
    held_out = first is not None
    if proving is None or first is None:
        proving = ProofData(dataset=rest.opened(limit=PROOF_SAMPLES), record=None)
        iterator = iter(proving)
        first = next(iterator)
    all_samples = _told(itertools.chain([first], iterator), proving.total, run.progress)
    if pixels is not None and not pixels.resizes:
        first, all_samples = pixels.sample(first), map(pixels.sample, all_samples)
    return ProofSamples(samples=all_samples, first=first, held_out=held_out), proving


def _told(samples: Iterable[Sample], total: int | None, progress: Progress) -> Iterator[Sample]:
    for done, sample in enumerate(samples, 1):
        progress("verify", done, total)
        yield sample
