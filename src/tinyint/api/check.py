"""The verb `check`: a report beside an earlier one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from tinyint.errors import ReportError, nearest
from tinyint.proof import Report
from tinyint.proof.comparable import Difference
from tinyint.proof.regression import Check, Limits, compare_reports
from tinyint.proof.stored_report import StoredReport

__all__ = ["check"]


def check(
    old: Report | str | Path,
    new: Report | str | Path,
    *,
    max_drop: float | None = None,
    metric: str | None = None,
    max_slowdown: float | None = None,
    max_coverage_drop: float = 0.0,
    allow: Iterable[str] = (),
) -> Check:
    """Compares the report of a quantized model with an earlier one.

    `Check.met` says whether nothing is worse than allowed: accuracy by `max_drop` percentage points (of `metric`, in
    its own unit; of every share, without it), speed by `max_slowdown` percent, int8 coverage by `max_coverage_drop`
    points. Without `max_drop`, the verdict on accuracy may get no worse; without `max_slowdown`, speed is not judged.
    Reports of different models or targets, and for speed processors or runtimes, are refused, unless in `allow`.

    Raises ReportError for what is no report, or lacks a figure that is asked for.
    """
    allowed = _differences(allow)
    limits = Limits(
        max_drop=max_drop, metric=metric, max_slowdown=max_slowdown, max_coverage_drop=max_coverage_drop
    )
    return compare_reports(StoredReport.read(old), StoredReport.read(new), limits, allowed)


def _differences(names: Iterable[str]) -> list[Difference]:
    known: dict[str, Difference] = {name: name for name in get_args(Difference)}
    found = []
    for name in names:
        if name not in known:
            raise ReportError(f"--allow {name}: there is no such difference; {nearest(name, known)}")
        found.append(known[name])
    return found
