"""Race of placements on the runtime: the fastest accurate one wins."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tinyint.data import Sample
from tinyint.errors import ModelError
from tinyint.graph.source import ModelSource
from tinyint.numbers.numerics import Array
from tinyint.proof.bench import Clock
from tinyint.proof.closeness import Closeness, shortfalls_beside
from tinyint.quantization.placements import Placement
from tinyint.quantization.ptq import Quantized
from tinyint.quantization.recipe import Rule
from tinyint.runtimes import Runtime, Session
from tinyint.runtimes.outputs import tensors_of

__all__ = ["Candidate", "Entrant", "PlacementRace", "race_placements"]

_FEWEST_ROUNDS, _MOST_ROUNDS = 5, 400
_QUARTILE = 25
"""Percentile of the calls that stands for them: other work on the machine makes calls slower, and none faster."""
_FLOAT = "float"
_TIE = 1.02


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A placement, and the int8 model of it."""

    placement: Placement
    quantized: Quantized


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A placement in the race.

    * `nodes_int8`: how many nodes were planned in int8
    * `milliseconds`: lower quartile of the calls; None if it was not timed
    * `sqnr_db`, `top1_agreement`: as of `Verification`
    * `out`: why it cannot win, as a clause; None if it can
    """

    name: str
    nodes_int8: int = 0
    milliseconds: float | None = None
    sqnr_db: float | None = None
    top1_agreement: float | None = None
    out: str | None = None


@dataclass(frozen=True, kw_only=True)
class PlacementRace:
    """Candidates, and the one that won.

    * `chosen`: name of a candidate; `rules`: of the recipe, that make it of the plan
    * `float_milliseconds`: of the float model beside them
    * `samples`: that the outputs were compared on; `held_out`: whether calibration had not seen them
    * `seconds`: that the calls took; `remembered`: whether an earlier run has raced
    """

    candidates: tuple[Candidate, ...]
    chosen: str
    rules: tuple[Rule, ...]
    float_milliseconds: float
    samples: int
    held_out: bool
    threads: int
    seconds: float
    remembered: bool = False

    @property
    def winner(self) -> Candidate:
        return next(c for c in self.candidates if c.name == self.chosen)

    @property
    def beaten_by_float(self) -> bool:
        """Whether float is faster than all that is accurate enough."""
        return (self.winner.milliseconds or 0.0) > self.float_milliseconds


def race_placements(
    entrants: Sequence[Entrant],
    float_model: ModelSource,
    samples: Sequence[Sample],
    *,
    runtime: Runtime,
    seconds: float,
    threads: int,
    held_out: bool,
    clock: Clock = time.perf_counter,
) -> PlacementRace:
    """Compares int8 models with the float one, and times them in turn.

    The first of `entrants` is the ordinary plan: it wins unless another one is more than 2 % faster, and in most
    rounds. Those whose outputs are worse than its own (`shortfalls_beside`) are out. At least five rounds are run.
    Raises ModelError where the runtime does not take the float model or the plan's.
    """
    heat = _Heat(runtime=runtime, threads=threads, samples=samples)
    floating = heat.open(float_model)
    expected = [tensors_of(floating.run(sample.inputs)) for sample in samples]
    for i, entrant in enumerate(entrants):
        heat.enter(entrant, expected, needed=i == 0)
    spent, calls = _timed({_FLOAT: floating, **heat.sessions}, samples[0], seconds, clock)
    times = {name: float(np.percentile(each, _QUARTILE)) for name, each in calls.items()}
    candidates = [replace(candidate, milliseconds=times.get(candidate.name)) for candidate in heat.candidates]
    chosen = _fastest(candidates, calls)
    return PlacementRace(
        candidates=tuple(candidates),
        chosen=chosen,
        rules=next(e.placement.rules for e in entrants if e.placement.name == chosen),
        float_milliseconds=times[_FLOAT],
        samples=len(samples),
        held_out=held_out,
        threads=threads,
        seconds=spent,
    )


def _fastest(candidates: Sequence[Candidate], calls: Mapping[str, Array]) -> str:
    """The first, unless another that can win is faster by more than a tie, and in most rounds, beyond chance."""
    planned = candidates[0].name
    times = {c.name: c.milliseconds for c in candidates if c.out is None and c.milliseconds is not None}
    faster = [
        name
        for name, ms in times.items()
        if _TIE * ms < times[planned] and _wins_rounds(calls[name], calls[planned])
    ]
    return min(faster, key=lambda name: times[name], default=planned)


def _wins_rounds(ours: Array, planned: Array) -> bool:
    """Whether it was the faster one in more than half of the rounds, by two standard deviations."""
    return bool((ours < planned).mean() > 0.5 + 1 / np.sqrt(len(ours)))


@dataclass(kw_only=True)
class _Heat:
    """Sessions of the entrants, and how close to float they are."""

    runtime: Runtime
    threads: int
    samples: Sequence[Sample]
    sessions: dict[str, Session] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    _planned: Closeness | None = None

    def open(self, model: ModelSource) -> Session:
        return self.runtime.open(model, threads=self.threads, precision="float32")

    def enter(self, entrant: Entrant, expected: Sequence[Mapping[str, Array]], *, needed: bool) -> None:
        """Adds a candidate; `needed`: whether what the runtime refuses is an error."""
        model, name = entrant.quantized.model, entrant.placement.name
        candidate = Candidate(name=name, nodes_int8=len(entrant.quantized.planned_int8))
        try:
            session = self.open(model)
            close = Closeness.of(model.graph, session, self.samples, expected)
        except ModelError as error:
            if needed:
                raise
            self.candidates.append(replace(candidate, out=str(error)))
            return
        self._planned = self._planned or close
        self.sessions[name] = session
        self.candidates.append(
            replace(
                candidate,
                sqnr_db=close.proof.sqnr_db,
                top1_agreement=close.proof.top1_agreement,
                out=next(shortfalls_beside(close, self._planned), None),
            )
        )


def _timed(
    sessions: Mapping[str, Session], sample: Sample, seconds: float, clock: Clock
) -> tuple[float, dict[str, Array]]:
    """Seconds that it took, and milliseconds of each call; the order is turned each round."""
    calls: dict[str, list[float]] = {name: [] for name in sessions}
    order, start, rounds = list(sessions), clock(), 0
    while rounds < _FEWEST_ROUNDS or (rounds < _MOST_ROUNDS and clock() - start < seconds):
        for name in order:
            before = clock()
            sessions[name].run_transient(sample.inputs)
            calls[name].append(1e3 * (clock() - before))
        order.reverse()
        rounds += 1
    return clock() - start, {name: np.array(milliseconds) for name, milliseconds in calls.items()}
