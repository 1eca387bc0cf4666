"""Figures as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tinyint.evaluate.coverage import FloatNode
from tinyint.evaluate.paired import Difference
from tinyint.report.report import Report

__all__ = [
    "Figure",
    "counted",
    "decibels",
    "figures",
    "grouped",
    "headline",
    "megabytes",
    "next_steps",
    "number",
    "percent",
    "points",
    "verdict",
]

_GOOD_AGREEMENT = 0.98
_GOOD_SQNR = 20.0
_MUCH = 0.9


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A row of the table: a quantity of both models, or of their comparison."""

    name: str
    baseline: str = ""
    int8: str = ""
    change: str = ""


def counted(count: int, what: str, plural: str | None = None) -> str:
    """ "1 node", "2 nodes"."""
    return f"{count} {what}" if count == 1 else f"{count} {plural or what + 's'}"


def percent(share: float | None, digits: int = 1) -> str:
    return "–" if share is None or not math.isfinite(share) else f"{share:.{digits}%}"


def points(share: float) -> str:
    """A difference of shares, in percentage points."""
    return f"{100 * share:+.2f}" if math.isfinite(share) else "–"


def verdict(found: Difference) -> str:
    """What a difference means."""
    p = f"p = {found.p:.2f}" if found.p >= 0.01 else f"p = {found.p:.3f}" if found.p >= 0.001 else "p < 0.001"
    if not found.beyond_chance:
        return f"no difference beyond chance ({p})"
    return f"{'better' if found.value > 0 else 'worse'} beyond chance ({p})"


def megabytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def decibels(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "–"
    return "exact" if value == math.inf else f"{value:.1f} dB"


def number(value: float) -> str:
    return f"{value:.4g}"


def headline(report: Report) -> str:
    """What came of it, in one sentence."""
    size = f"{report.sizes.baseline / max(report.sizes.int8, 1):.1f}× smaller"
    if report.latency is None:
        return f"The int8 model is {size}; its speed was not measured."
    speedup = report.latency.speedup
    if report.latency.slower:
        return (
            f"The int8 model is {size}, but SLOWER than float: {speedup:.2f}× the speed on {report.runtime}."
        )
    if not report.latency.native:
        return f"The int8 model is {size}; its speed on {report.target} cannot be measured on this processor."
    return f"The int8 model is {speedup:.2f}× as fast as float on {report.runtime}, and {size}."


def figures(report: Report) -> Iterator[Figure]:
    """The rows of the table, float beside int8."""
    sizes = report.sizes
    if report.latency:
        slow, quick = report.latency.baseline, report.latency.int8
        yield Figure(
            name="latency, median",
            baseline=f"{slow.median_ms:.2f} ms",
            int8=f"{quick.median_ms:.2f} ms",
            change=f"{report.latency.speedup:.2f}× as fast",
        )
        yield Figure(
            name="latency, 90th percentile", baseline=f"{slow.p90_ms:.2f} ms", int8=f"{quick.p90_ms:.2f} ms"
        )
    yield Figure(
        name="size",
        baseline=megabytes(sizes.baseline),
        int8=megabytes(sizes.int8),
        change=f"{sizes.baseline / max(sizes.int8, 1):.1f}× smaller",
    )
    coverage = report.coverage
    yield Figure(
        name="multiply-adds in int8" + ("" if coverage.measured else " (planned)"),
        int8=percent(coverage.macs_int8),
        change=f"{counted(coverage.nodes_int8, 'node')} in int8, {coverage.nodes_float} in float",
    )
    if report.verification:
        proof = report.verification
        basis = counted(proof.samples, f"{'held-out' if proof.held_out else 'calibration'} sample")
        simulated = (
            "" if proof.simulated_sqnr_db is None else f", simulated {decibels(proof.simulated_sqnr_db)}"
        )
        yield Figure(name="SQNR against float", int8=decibels(proof.sqnr_db), change=basis + simulated)
        if proof.top1_agreement is not None:
            yield Figure(name="same top-1 as float", int8=percent(proof.top1_agreement), change=basis)
        if proof.cosine is not None:
            yield Figure(
                name="cosine to float, mean",
                int8=f"{proof.cosine.mean:.4f}",
                change=f"worst {proof.cosine.min:.4f}",
            )
        if proof.lsb_over_1 is not None:
            yield Figure(
                name="off from simulation by > 1 LSB",
                int8=percent(proof.lsb_over_1, 2),
                change=f"at most {number(proof.lsb_max or 0.0)} LSB",
            )


def grouped(nodes: tuple[FloatNode, ...]) -> dict[str, list[FloatNode]]:
    """The nodes that stay in float by reason, the most frequent reason first."""
    groups: dict[str, list[FloatNode]] = {}
    for node in nodes:
        groups.setdefault(node.reason, []).append(node)
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def next_steps(report: Report) -> Iterator[str]:
    """What a user may want to do now."""
    proof, model = report.verification, report.output or "INT8"
    poor = proof is not None and (
        (proof.top1_agreement is not None and proof.top1_agreement < _GOOD_AGREEMENT)
        or (proof.top1_agreement is None and proof.sqnr_db is not None and proof.sqnr_db < _GOOD_SQNR)
    )
    if poor:
        yield f"tinyint compare {report.source} {model} --data DATA    where the error arises"
        if report.method == "static" and report.recipe != "accurate":
            yield f"tinyint quantize {report.source} -o OUT --data DATA --recipe accurate    smaller errors"
    if report.latency and report.latency.slower:
        yield f"tinyint bench {report.source} {model}    measure again on a quiet machine, before you ship it"
        yield "tinyint doctor    what this machine gains from int8"
    elif report.method == "static" and report.coverage.macs_int8 < _MUCH:
        yield f"tinyint inspect {model}    which nodes stay in float, and why"
    if report.output and not poor:
        yield f"tinyint evaluate {model} --data DATA    its accuracy on labelled data"
