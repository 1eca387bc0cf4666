"""Figures and sentences of the report."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tinyint.proof.coverage import FloatNode
from tinyint.proof.measured import Sizes
from tinyint.proof.report import Report
from tinyint.proof.verify import Verification
from tinyint.targets import get_target
from tinyint.tasks.paired import Difference

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
    "size_change",
    "speed_change",
    "told_from_chance",
]

_MUCH = 0.9


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Row of the table: a quantity of both models, or of their comparison."""

    name: str
    baseline: str = ""
    int8: str = ""
    change: str = ""


def counted(count: int, what: str, plural: str | None = None) -> str:
    """Count with its noun: "1 node", "2 nodes"."""
    return f"{count} {what}" if count == 1 else f"{count} {plural or what + 's'}"


def percent(share: float | None, digits: int = 1) -> str:
    return "–" if share is None or not math.isfinite(share) else f"{share:.{digits}%}"


def points(share: float) -> str:
    """Difference of shares, in percentage points."""
    return f"{100 * share:+.2f}" if math.isfinite(share) else "–"


def told_from_chance(difference: Difference) -> str:
    """Significance of a difference, in words."""
    p = difference.p
    text = f"p = {p:.2f}" if p >= 0.01 else f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
    if not difference.beyond_chance:
        return f"no difference beyond chance ({text})"
    return f"{'better' if difference.value > 0 else 'worse'} beyond chance ({text})"


def megabytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def decibels(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "–"
    return "exact" if value == math.inf else f"{value:.1f} dB"


def number(value: float) -> str:
    return f"{value:.4g}"


def speed_change(speedup: float) -> str:
    """Speed relative to float: "1.53× as fast", or "1.06× slower", which takes 1.06 times as long."""
    return f"{1 / speedup:.2f}× slower" if 0 < speedup < 0.995 else f"{speedup:.2f}× as fast"


def size_change(sizes: Sizes) -> str:
    """Size relative to float: "3.8× smaller", "4 % smaller", "26 % larger" or "2.4× as large"."""
    ratio = sizes.int8 / max(sizes.baseline, 1)
    if ratio == 1:
        return "as large"
    if ratio > 1:
        return f"{100 * (ratio - 1):.0f} % larger" if ratio < 2 else f"{ratio:.1f}× as large"
    return f"{1 / ratio:.1f}× smaller" if ratio < 0.8 else f"{100 * (1 - ratio):.0f} % smaller"


def headline(report: Report) -> str:
    """Outcome in a few sentences: bad findings first, unknown ones last."""
    verdict = report.verdict
    parts = [
        (verdict.accuracy in ("broken", "doubtful"), _accuracy(report)),
        (verdict.speed == "slower", _speed(report)),
        (verdict.size == "larger", size_change(report.sizes)),
    ]
    bad = [text for is_bad, text in parts if text and is_bad]
    others = [text for is_bad, text in parts if text and not is_bad]
    if bad and others:
        sentence = f"The int8 model is {_listed(bad)}; it is {_listed(others)}"
    else:
        sentence = f"The int8 model is {_listed(bad or others)}"
    return " ".join([f"{sentence}{_coverage(report)}.", *_unknowns(report)])


def _coverage(report: Report) -> str:
    share = report.coverage.macs_int8
    planned = "" if report.coverage.measured else " planned"
    return "" if share is None else f", with {percent(share)} of the multiply-adds{planned} in int8"


def _accuracy(report: Report) -> str:
    verdict, proof = report.verdict, report.verification
    if verdict.accuracy == "unknown" or proof is None:
        return ""
    if verdict.reasons:
        return f"{verdict.accuracy.upper()} ({verdict.reasons[0]})"
    details = [] if proof.sqnr_db is None else [f"SQNR {decibels(proof.sqnr_db)}"]
    if proof.top1_agreement is not None:
        details.append(f"same top-1 on {percent(proof.top1_agreement)}")
    shares = [o.rows_matched for o in proof.outputs.values() if o.rows_matched is not None]
    if shares:
        details.append(f"{percent(min(shares))} of the selected rows the same")
    if proof.top1_agreement is None and proof.cosine is not None:
        details.append(f"worst cosine {proof.cosine.min:.2f}")
    held_out = f"on {counted(proof.samples, 'held-out sample')}"
    return f"close to float {held_out}" + (f" ({', '.join(details)})" if details else "")


def _speed(report: Report) -> str:
    speed, latency = report.verdict.speed, report.latency
    if speed == "unknown" or latency is None:
        return ""
    if speed == "same":
        return f"as fast as float on {report.runtime}"
    return (
        f"{speed_change(latency.speedup)} {'than' if speed == 'slower' else 'as'} float on {report.runtime}"
    )


def _unknowns(report: Report) -> Iterator[str]:
    if report.verdict.accuracy == "unknown":
        yield f"Its accuracy is unknown: {'; '.join(report.verdict.missing)}."
    if report.coverage.macs_int8 is None:
        yield "What share of its multiply-adds is in int8 is unknown."
    if report.latency is None:
        yield "Its speed was not measured."
    elif report.verdict.speed == "unknown":
        yield f"Its speed on {report.target} cannot be measured on this processor."


def _listed(parts: list[str]) -> str:
    """List in words: "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def figures(report: Report) -> Iterator[Figure]:
    """Rows of the table, float beside int8."""
    sizes = report.sizes
    if report.latency:
        slow, quick = report.latency.baseline, report.latency.int8
        yield Figure(
            name="latency, median",
            baseline=f"{slow.median_ms:.2f} ms",
            int8=f"{quick.median_ms:.2f} ms",
            change=speed_change(report.latency.speedup),
        )
        yield Figure(
            name="latency, 90th percentile", baseline=f"{slow.p90_ms:.2f} ms", int8=f"{quick.p90_ms:.2f} ms"
        )
    yield Figure(
        name="size",
        baseline=megabytes(sizes.baseline),
        int8=megabytes(sizes.int8),
        change=size_change(sizes),
    )
    coverage = report.coverage
    yield Figure(
        name="multiply-adds in int8" + ("" if coverage.measured else " (planned)"),
        int8="unknown" if coverage.macs_int8 is None else percent(coverage.macs_int8),
        change=f"{counted(coverage.nodes_int8, 'node')} in int8, {coverage.nodes_float} in float",
    )
    if report.verification:
        proof = report.verification
        basis = counted(proof.samples, f"{'held-out' if proof.held_out else 'calibration'} sample")
        simulated = (
            "" if proof.simulated_sqnr_db is None else f", simulated {decibels(proof.simulated_sqnr_db)}"
        )
        yield Figure(name="SQNR against float", int8=decibels(proof.sqnr_db), change=basis + simulated)
        yield from _worst(proof)
        if proof.top1_agreement is not None:
            yield Figure(name="same top-1 as float", int8=percent(proof.top1_agreement), change=basis)
        if proof.integers_equal is not None:
            yield Figure(name="integers as in float", int8=percent(proof.integers_equal), change=basis)
        for name, output in proof.outputs.items():
            if output.rows_matched is not None:
                yield Figure(name="selected rows as in float", int8=percent(output.rows_matched), change=name)
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


def _worst(proof: Verification) -> Iterator[Figure]:
    """Rows for the output and for the columns that differ most from float."""
    levels = {name: output.sqnr_db for name, output in proof.outputs.items() if output.sqnr_db is not None}
    if len(levels) > 1:
        name = min(levels, key=lambda name: levels[name])
        yield Figure(name="… of the worst output", int8=decibels(levels[name]), change=name)
    parts = [(output.columns, name) for name, output in proof.outputs.items() if output.columns is not None]
    if parts:
        columns, name = min(parts, key=lambda part: part[0].sqnr_db)
        yield Figure(
            name="… of the worst columns", int8=decibels(columns.sqnr_db), change=f"{columns} of {name}"
        )


def grouped(nodes: tuple[FloatNode, ...]) -> dict[str, list[FloatNode]]:
    """Nodes that stay in float by reason, the most frequent reason first."""
    groups: dict[str, list[FloatNode]] = {}
    for node in nodes:
        groups.setdefault(node.reason, []).append(node)
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def next_steps(report: Report) -> Iterator[str]:
    """Commands that the user may run next, with their purposes."""
    verdict, model = report.verdict, report.output or "INT8"
    poor = verdict.accuracy in ("doubtful", "broken")
    if poor:
        yield f"tinyint compare {report.source} {model} --data DATA    where the error arises"
        if report.method == "static" and report.recipe != "accurate":
            yield f"tinyint quantize {report.source} -o OUT --data DATA --recipe accurate    smaller errors"
        elif report.method == "static":
            yield f"tinyint quantize {report.source} -o OUT --data DATA --max-drop POINTS    the worst units in float"
    if verdict.speed == "slower":
        yield f"tinyint bench {report.source} {model}    measure again on a quiet machine, before you ship it"
        if report.method == "static" and report.race is None and report.latency is not None:
            yield f"tinyint quantize {report.source} -o OUT --data DATA --race    the fastest placement of int8"
        yield "tinyint doctor    what this machine gains from int8"
    elif report.method == "static" and (report.coverage.macs_int8 or 0.0) < _MUCH:
        yield f"tinyint inspect {model}    which nodes stay in float, and why"
    if poor or not report.output:
        return
    target = get_target(report.target)
    if target.build_commands is not None:
        for version, command in target.build_commands(report.output).items():
            yield f"{command}    on {target.cpu.name}, with {version}"
        yield f"tinyint evaluate {model} --data DATA --runtime onnxruntime    its accuracy, simulated"
    else:
        yield f"tinyint evaluate {model} --data DATA    its accuracy on labelled data"
