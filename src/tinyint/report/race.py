"""Race of placements, in rows and words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinyint.proof.placement_race import Candidate, PlacementRace
from tinyint.report.words import counted, decibels, percent

__all__ = ["RaceRow", "race_rows", "race_title"]


@dataclass(frozen=True, kw_only=True)
class RaceRow:
    """Row of the table of a race: a placement, or float."""

    name: str
    nodes: str = ""
    milliseconds: str = ""
    speed: str = ""
    sqnr: str = ""
    top1: str = ""
    remark: str = ""


def race_title(race: PlacementRace) -> str:
    """Circumstances of the race, in a phrase."""
    seen = "held-out" if race.held_out else "calibration"
    told = f"placements: {race.seconds:.1f} s in turn, {counted(race.threads, 'thread')}, "
    told += counted(race.samples, f"{seen} sample")
    return f"{told}; remembered from an earlier run" if race.remembered else told


def race_rows(race: PlacementRace) -> Iterator[RaceRow]:
    """Float, and each placement beside it."""
    yield RaceRow(name="float", milliseconds=f"{race.float_milliseconds:.2f} ms", speed="1.00×")
    for candidate in race.candidates:
        ms = candidate.milliseconds
        yield RaceRow(
            name=candidate.name,
            nodes=str(candidate.nodes_int8),
            milliseconds="–" if ms is None else f"{ms:.2f} ms",
            speed="–" if not ms else f"{race.float_milliseconds / ms:.2f}×",
            sqnr=decibels(candidate.sqnr_db),
            top1="" if candidate.top1_agreement is None else percent(candidate.top1_agreement),
            remark=_remark(candidate, race),
        )


def _remark(candidate: Candidate, race: PlacementRace) -> str:
    if candidate.name == race.chosen:
        return "chosen"
    return "" if candidate.out is None else f"out: {candidate.out}"
