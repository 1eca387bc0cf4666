"""Circumstances of two reports.

Some differences forbid a comparison, others are notes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tinyint.errors import ReportError
from tinyint.proof.stored_report import StoredReport

__all__ = ["Difference", "differences", "notes"]

Difference: TypeAlias = Literal["model", "target", "processor", "runtime"]


@dataclass(frozen=True, kw_only=True)
class _Fact:
    """Fact that both reports must share; `of_speed`: for the sake of the timings alone."""

    kind: Difference
    old: str
    new: str
    of_speed: bool = False
    why: str

    @property
    def same(self) -> bool:
        return self.old == self.new


def differences(
    old: tuple[str, StoredReport],
    new: tuple[str, StoredReport],
    *,
    timed: bool,
    allowed: Collection[Difference],
) -> Iterator[str]:
    """Differences that are allowed, or do not matter since nothing is `timed`, as notes.

    Raises ReportError for others.
    """
    for fact in _facts(old[1], new[1]):
        if fact.same:
            continue
        told = f"different {fact.kind}s: {fact.old} in {old[0]}, {fact.new} in {new[0]}"
        if fact.kind in allowed:
            yield f"{told}; compared nevertheless, as --allow {fact.kind} says"
        elif fact.of_speed and not timed:
            yield f"{told}; {fact.why}"
        else:
            others = ", leave out --max-slowdown" if fact.of_speed else ""
            raise ReportError(
                f"{told}; {fact.why}: make {old[0]} anew{others}, or compare them nevertheless with --allow {fact.kind}"
            )
    for name, report in (old, new):
        if timed and report.latency_native is False and "processor" not in allowed:
            raise ReportError(
                f"the latency in {name} was not measured on a processor that its target {report.target} is for: make "
                "it there, leave out --max-slowdown, or compare it nevertheless with --allow processor"
            )


def _facts(old: StoredReport, new: StoredReport) -> Iterator[_Fact]:
    models = _models(old, new)
    why = "a difference between their reports says nothing of how they were quantized"
    yield _Fact(kind="model", old=models[0], new=models[1], why=why)
    yield _Fact(kind="target", old=old.target, new=new.target, why="each has kernels of its own")
    timings = "their timings cannot be compared"
    yield _Fact(kind="processor", old=old.host, new=new.host, of_speed=True, why=timings)
    timed = old.latency_ms is not None and new.latency_ms is not None
    runtimes = _runtime(old, timed=timed), _runtime(new, timed=timed)
    yield _Fact(kind="runtime", old=runtimes[0], new=runtimes[1], of_speed=True, why=timings)


def _models(old: StoredReport, new: StoredReport) -> tuple[str, str]:
    """Identities of the float models: what is in them, or where that is not known, their paths."""
    prints = old.model_fingerprint, new.model_fingerprint
    if prints[0] == prints[1] or not all(prints):
        return (old.source, new.source) if not all(prints) else ("", "")
    return f"{old.source} ({prints[0][:12]})", f"{new.source} ({prints[1][:12]})"


def _runtime(report: StoredReport, *, timed: bool) -> str:
    runtime = report.runtime
    threads = f"{runtime.threads} thread{'' if runtime.threads == 1 else 's'}"
    precision = runtime.precision if timed else None
    return " ".join(filter(None, (runtime.name, runtime.version, precision))) + f" on {threads}"


def notes(old: StoredReport, new: StoredReport) -> Iterator[str]:
    """Differences that do not forbid a comparison."""
    if old.tinyint != new.tinyint:
        yield f"by tinyint {old.tinyint} and {new.tinyint}"
    if old.coverage.measured != new.coverage.measured:
        read, planned = ("old", "new") if old.coverage.measured else ("new", "old")
        yield f"int8 coverage is read from the runtime in the {read} report, and planned in the {planned} one"
    proofs = old.verification, new.verification
    if proofs[0] is None or proofs[1] is None:
        return
    if proofs[0].samples != proofs[1].samples:
        yield f"the outputs were compared on {proofs[0].samples} and on {proofs[1].samples} samples: not the same ones"
    if proofs[0].held_out != proofs[1].held_out:
        seen = "new" if proofs[0].held_out else "old"
        yield f"the samples of the {seen} report had a part in calibration, those of the other had none"
