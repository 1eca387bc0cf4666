"""Regression of a quantized model: its report beside an earlier one, figure by figure.

* accuracy: no figure falls by more than `max_drop`; without that, the verdict gets no worse
* speed: int8 takes no more than `max_slowdown` % longer, both in units of float's time in the same report. Float is
  timed in turn with int8, so that a busy machine slows both.
* coverage: the share of multiply-accumulates in int8 (of nodes, where that is unknown) falls by no more than
  `max_coverage_drop`
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tinyint.errors import ReportError, nearest
from tinyint.proof.comparable import Difference, differences, notes
from tinyint.proof.stored_report import Figures, Key, StoredReport, Unit

__all__ = ["Check", "Limits", "Row", "compare_reports"]

_ROUNDING = 1e-9
_RANK = {"good": 0, "unknown": 0, "doubtful": 1, "broken": 2}

Named: TypeAlias = tuple[str, StoredReport]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Loss that is allowed; None: not asked for.

    * `max_drop`: of accuracy, in percentage points; of `metric`, in its own unit (dB of sqnr)
    * `max_slowdown`: in percent
    * `max_coverage_drop`: in percentage points
    """

    max_drop: float | None = None
    metric: str | None = None
    max_slowdown: float | None = None
    max_coverage_drop: float = 0.0

    def __post_init__(self) -> None:
        for name in ("max_drop", "max_slowdown", "max_coverage_drop"):
            limit = getattr(self, name)
            if limit is not None and not (math.isfinite(limit) and limit >= 0):
                raise ReportError(f"--{name.replace('_', '-')} {limit:g}: expected a number from 0")
        if self.metric is not None and self.max_drop is None:
            raise ReportError(
                f"--metric {self.metric} has no effect without --max-drop; leave it out, or add that"
            )


@dataclass(frozen=True, kw_only=True)
class Row:
    """Figure of both reports.

    * `of`: which part of the model's worth; `output`: the one that it is of
    * `old`, `new`: shares from 0 to 1, dB, milliseconds, bytes, or a word of the verdict; None where not known
    * `loss`: by how much the new one is worse, in `unit`; below 0 where it is better, None where it is not counted
    * `limit`: the most that is allowed, None where the row is not judged; `worse`: whether it is beyond that
    """

    name: str
    of: Literal["accuracy", "speed", "coverage", "size"]
    output: str | None = None
    old: float | str | None
    new: float | str | None
    loss: float | None = None
    unit: Unit = ""
    limit: float | None = None
    worse: bool = False


@dataclass(frozen=True, kw_only=True)
class Check:
    """Comparison of two reports; `notes`: differences of their circumstances."""

    old: str
    new: str
    met: bool
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def regressions(self) -> tuple[Row, ...]:
        """Rows that are worse than allowed."""
        return tuple(row for row in self.rows if row.worse)


def compare_reports(old: Named, new: Named, limits: Limits, allowed: Collection[Difference] = ()) -> Check:
    """Compares two reports, each with its name.

    Raises ReportError where they are not comparable, unless by differences that are allowed, or lack a figure that is
    asked for.
    """
    if limits.max_slowdown is not None:
        _require_latency(old, new)
    told = tuple(differences(old, new, timed=limits.max_slowdown is not None, allowed=allowed))
    rows = (
        *_accuracy(old, new, limits),
        *_speed(old[1], new[1], limits.max_slowdown),
        *_coverage(old[1], new[1], limits.max_coverage_drop),
        Row(name="size_bytes", of="size", old=old[1].size_bytes["int8"], new=new[1].size_bytes["int8"]),
    )
    return Check(
        old=old[0],
        new=new[0],
        met=not any(row.worse for row in rows),
        rows=rows,
        notes=(*told, *notes(old[1], new[1])),
    )


def _accuracy(old: Named, new: Named, limits: Limits) -> Iterator[Row]:
    before, after = old[1].verdict.accuracy, new[1].verdict.accuracy
    fell = limits.max_drop is None and _RANK[after] > _RANK[before]
    yield Row(name="verdict", of="accuracy", old=before, new=after, worse=fell)
    theirs, ours = old[1].accuracies(), new[1].accuracies()
    judged = set() if limits.max_drop is None else _judged(old, new, theirs, ours, limits.metric)
    for key in dict.fromkeys((*theirs, *ours)):
        was, now = theirs.get(key), ours.get(key)
        unit = (was or now or (0.0, ""))[1]
        loss = (
            None if was is None or now is None else _fall(was[0], now[0]) * (100 if unit == "points" else 1)
        )
        limit = limits.max_drop if key in judged else None
        yield Row(
            name=key[0],
            of="accuracy",
            output=key[1],
            old=None if was is None else was[0],
            new=None if now is None else now[0],
            loss=loss,
            unit=unit,
            limit=limit,
            worse=_beyond(loss, limit),
        )


def _judged(old: Named, new: Named, theirs: Figures, ours: Figures, metric: str | None) -> set[Key]:
    """Figures of both reports that a drop is asked of. Raises ReportError where there is none."""
    both = theirs.keys() & ours.keys()
    found = {key for key in both if (key[0] == metric if metric is not None else theirs[key][1] == "points")}
    if found:
        return found
    known = {name for name, _ in both}
    if metric is not None and known:
        raise ReportError(
            f"--metric {metric}: {old[0]} and {new[0]} do not both have it; {nearest(metric, known)}"
        )
    if known:
        raise ReportError(
            f"--max-drop: {old[0]} and {new[0]} have no share in common that could fall by points; they have "
            f"{', '.join(sorted(known))}: add --metric {min(known)}, whose drop is in "
            f"{theirs[next(key for key in both if key[0] == min(known))][1] or 'its own unit'}"
        )
    lacking = " and ".join(name for name, figures in ((old[0], theirs), (new[0], ours)) if not figures)
    raise ReportError(
        f"--max-drop: no figure of accuracy in {lacking or 'both'}: give tinyint quantize --data with more samples "
        "than it calibrates on, without --no-verify, or leave out --max-drop"
    )


def _require_latency(*reports: Named) -> None:
    for name, report in reports:
        if report.latency_ms is None:
            raise ReportError(
                f"--max-slowdown: {name} has no latency: make it without --no-verify, where the target's runtime is "
                "installed, or leave out --max-slowdown"
            )


def _speed(old: StoredReport, new: StoredReport, limit: float | None) -> Iterator[Row]:
    before, after = old.latency_ms, new.latency_ms
    for key in ("float", "int8"):
        was, now = (None if latency is None else getattr(latency, key) for latency in (before, after))
        if was is not None or now is not None:
            yield Row(name=f"latency_ms.{key}", of="speed", old=was, new=now)
    if before is None or after is None or not (before.float and after.float and before.int8 and after.int8):
        return
    was, now = before.float / before.int8, after.float / after.int8
    loss = 100 * (was / now - 1)
    yield Row(
        name="speedup",
        of="speed",
        old=was,
        new=now,
        loss=loss,
        unit="%",
        limit=limit,
        worse=_beyond(loss, limit),
    )


def _coverage(old: StoredReport, new: StoredReport, limit: float) -> Iterator[Row]:
    was, now = old.coverage.macs_int8, new.coverage.macs_int8
    counted = was is not None and now is not None
    if was is not None or now is not None:
        yield _share("coverage.macs_int8", was, now, limit if counted else None)
    nodes = [
        report.coverage.nodes_int8 / ((report.coverage.nodes_int8 + report.coverage.nodes_float) or 1)
        for report in (old, new)
    ]
    yield _share("coverage.nodes_int8", nodes[0], nodes[1], None if counted else limit)


def _share(name: str, was: float | None, now: float | None, limit: float | None) -> Row:
    loss = None if was is None or now is None else 100 * (was - now)
    return Row(
        name=name, of="coverage", old=was, new=now, loss=loss, unit="points", limit=limit,
        worse=_beyond(loss, limit),
    )  # fmt: skip


def _fall(was: float, now: float) -> float:
    return 0.0 if was == now else was - now  # both may be infinite


def _beyond(loss: float | None, limit: float | None) -> bool:
    return loss is not None and limit is not None and loss > limit + _ROUNDING
