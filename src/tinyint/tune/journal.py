"""Trials of a search on disk, with which it goes on after a kill."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyint.errors import OutputError
from tinyint.files import atomic_write
from tinyint.files.jsonable import to_json
from tinyint.tune.search import Candidate

__all__ = ["Journal", "Trial"]

_FORM = "tinyint budget 1"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Judged model: its units in float, and the metric."""

    in_float: frozenset[str]
    value: float


@dataclass(kw_only=True)
class Journal:
    """Trials of one search, known by `key`; those of another are dropped."""

    path: Path | None
    key: dict[str, str]
    candidates: tuple[Candidate, ...] = ()
    trials: list[Trial] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path | None, key: dict[str, str]) -> Journal:
        """Journal at `path`, with what an earlier run of the same search has left.

        Raises OutputError where the file is not a journal.
        """
        journal = cls(path=path, key=key)
        if path is None or not path.exists():
            return journal
        known = _read(path)
        if known["key"] == key:
            journal.candidates = tuple(Candidate(**entry) for entry in known["candidates"])
            journal.trials = [
                Trial(in_float=frozenset(entry["in_float"]), value=_number(entry["value"]))
                for entry in known["trials"]
            ]
        return journal

    def value(self, in_float: frozenset[str]) -> float | None:
        """Metric of a model that was judged before."""
        return next((trial.value for trial in self.trials if trial.in_float == in_float), None)

    def start(self, candidates: Iterable[Candidate]) -> None:
        self.candidates = tuple(candidates)
        self._save()

    def add(self, trial: Trial) -> None:
        self.trials.append(trial)
        self._save()

    def _save(self) -> None:
        if self.path is None:
            return
        trials = [{"in_float": sorted(t.in_float), "value": t.value} for t in self.trials]
        document = {"form": _FORM, "key": self.key, "candidates": self.candidates, "trials": trials}
        with atomic_write(self.path) as temporary:
            temporary.write_text(to_json(document) + "\n", encoding="utf-8")


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = None
    if not isinstance(known, dict) or known.get("form") != _FORM:
        raise OutputError(
            f"{path} is there, and no journal of a search of tinyint; move it, or choose another output"
        )
    return known
