"""Tiles under the verdict: accuracy, speed, coverage and size, with their figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tinyint.proof.light import ENOUGH_INT8
from tinyint.proof.report import Report
from tinyint.report.words import counted, decibels, megabytes, percent, size_change, speed_change

__all__ = ["Tile", "tiles"]

Kind = Literal["good", "fair", "bad"]
_KINDS: dict[str, Kind] = {
    "good": "good", "faster": "good", "smaller": "good", "broken": "bad", "slower": "bad", "doubtful": "fair",
    "larger": "fair",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Part of the verdict: name, finding, the figure that shows it, and others.

    `kind`: how it is coloured; "" for neither good nor bad.
    """

    name: str
    finding: str
    figure: str
    detail: str = ""
    kind: Kind | Literal[""] = ""


def tiles(report: Report) -> Iterator[Tile]:
    """Tiles of a report, in the order of the verdict."""
    verdict = report.verdict
    figure, detail = _accuracy(report)
    yield Tile(
        name="accuracy",
        finding=verdict.accuracy,
        figure=figure,
        detail=detail,
        kind=_KINDS.get(verdict.accuracy, ""),
    )
    latency = report.latency
    yield Tile(
        name="speed",
        finding=verdict.speed,
        figure="–" if latency is None else speed_change(latency.speedup),
        detail="not measured"
        if latency is None
        else f"{latency.baseline.median_ms:.2f} ms → {latency.int8.median_ms:.2f} ms",
        kind=_KINDS.get(verdict.speed, ""),
    )
    yield _coverage(report)
    sizes = report.sizes
    yield Tile(
        name="size",
        finding=verdict.size,
        figure=size_change(sizes),
        detail=f"{megabytes(sizes.baseline)} → {megabytes(sizes.int8)}",
        kind=_KINDS.get(verdict.size, ""),
    )


def _accuracy(report: Report) -> tuple[str, str]:
    """The figure that says most, and the others with the number of samples."""
    proof = report.verification
    if proof is None:
        return "–", "not compared with float"
    shares = [o.rows_matched for o in proof.outputs.values() if o.rows_matched is not None]
    found = [
        None if proof.sqnr_db is None else f"SQNR {decibels(proof.sqnr_db)}",
        None if proof.top1_agreement is None else f"{percent(proof.top1_agreement)} same top-1",
        f"{percent(min(shares))} same rows" if shares else None,
        None if proof.cosine is None else f"worst cosine {proof.cosine.min:.2f}",
        None if proof.integers_equal is None else f"{percent(proof.integers_equal)} same integers",
    ]
    first, *others = [text for text in found if text is not None] or ["–"]
    return first, ", ".join(
        [*others, counted(proof.samples, "held-out sample" if proof.held_out else "sample")]
    )


def _coverage(report: Report) -> Tile:
    coverage = report.coverage
    share = coverage.macs_int8
    enough = share is not None and share >= ENOUGH_INT8 and coverage.measured
    return Tile(
        name="coverage",
        finding="good"
        if enough
        else "unknown"
        if share is None
        else "low"
        if coverage.measured
        else "planned",
        figure="unknown" if share is None else percent(share),
        detail=f"of the multiply-adds in int8; {counted(coverage.nodes_int8, 'node')}, {coverage.nodes_float} in float",
        kind="good" if enough else "fair",
    )
