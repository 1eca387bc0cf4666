"""Sensitivity of a model in words."""

from __future__ import annotations

from tinyint.diagnosis.sensitivity import Sensitivity
from tinyint.report.words import counted, decibels, percent

__all__ = ["METHOD", "headline", "signed_ms"]

METHOD = (
    "alone: the SQNR of the worst output with this unit alone in 8 bits, exact on these samples, simulated op by op; "
    "in float: what a call takes longer with this unit alone in float, by the runtime's profiles of the float graph "
    "and of the int8 model (the lower of two medians, in turn), with the conversions at its border estimated from one "
    "quantizer and one dequantizer, in proportion to size"
)
_HALF = 0.5


def headline(found: Sensitivity) -> str:
    """Where the error comes from, in one sentence or two."""
    sentence = f"{decibels(found.total_db)} with all {counted(len(found.rows), 'unit')} in 8 bits"
    if (share := _worst_half(found)) is not None:
        sentence += f"; {counted(share, 'unit makes', 'units make')} half of the noise"
    if found.metrics:
        name = next(iter(found.metrics))
        ours, theirs = percent(found.metrics_int8.get(name), 2), percent(found.metrics[name], 2)
        sentence += f"; {name} {ours}, {theirs} in float"
    if abs(found.total_db - found.sum_db) > 3.0:
        sentence += (
            f". The units' noise would add up to {decibels(found.sum_db)}: they act on each other, and the errors of "
            "single units say less"
        )
    return sentence


def signed_ms(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f} ms"


def _worst_half(found: Sensitivity) -> int | None:
    """Number of the worst units that make half of the noise; None without noise."""
    total = 0.0
    for count, row in enumerate(found.rows, 1):
        total += row.share
        if total >= _HALF:
            return count
    return None
