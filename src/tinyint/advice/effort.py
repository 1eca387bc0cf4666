"""Rough durations of quantization and training, and the work that fits into a time."""

from __future__ import annotations

from dataclasses import dataclass

from tinyint.quantization.recipe import Recipe
from tinyint.runtimes.host import Host

__all__ = ["FEWEST_LABELLED", "Effort", "affordable_samples", "qat_effort"]

FEWEST_LABELLED = 500
"""Labelled samples below which training overfits."""
_FEWEST_SAMPLES = 16
_MACS_A_SECOND = 3e10
"""Speed of a float network on one ordinary core; a core with AVX-512 is four times as fast."""
_MACS_A_SECOND_ON_A_GPU = 2e12
_BATCH, _ITERS, _EPOCHS = 32, 1000, 10
_PASSES = 6
"""Cost of a training step in forward passes: forward and backward are three, fake quantization and reading the rest."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Effort of quantization-aware training: iterations of 32 samples, and their minutes."""

    iters: int
    minutes: float


def affordable_samples(macs: int, minutes: float | None) -> int | None:
    """Number of calibration samples that fit into half of the time.

    The other half is for the proof. None if the recipe's own number fits.
    """
    usual = Recipe.load("default").limit
    if minutes is None or usual is None or not macs:
        return None
    affordable = int(minutes * 60 / 2 * _MACS_A_SECOND / macs)
    return None if affordable >= usual else max(affordable, _FEWEST_SAMPLES)


def qat_effort(macs: int, samples: int | None, machine: Host) -> Effort:
    """Effort of a thousand iterations, or of ten epochs if those are fewer."""
    iters = _ITERS if samples is None else min(_ITERS, -(-_EPOCHS * samples // _BATCH))
    rate = _MACS_A_SECOND_ON_A_GPU if machine.gpu else _MACS_A_SECOND * max(machine.cores, 1)
    return Effort(iters=iters, minutes=iters * _BATCH * _PASSES * macs / rate / 60)
