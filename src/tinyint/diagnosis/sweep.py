"""Outputs with each unit alone in 8 bits, in one sweep.

The float tensors are computed once. A unit's change is followed from the unit on, through the segments that read a
changed tensor; what comes before is shared by all. The result is that of running the whole graph for each unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import onnx_ir as ir

from tinyint.diagnosis.alone import Part, quantized_alone
from tinyint.diagnosis.matched import Matched
from tinyint.diagnosis.segments import UnitSegment, segments_of
from tinyint.diagnosis.units import Unit
from tinyint.graph.names import name_of
from tinyint.graph.walk import macs
from tinyint.numbers.distance import NoiseSum
from tinyint.numbers.numerics import Array
from tinyint.runtimes import Session, get_runtime
from tinyint.runtimes.base import Feeds

__all__ = ["Sweep", "passes"]

_BYTES = 256 << 20
"""Most bytes of changed tensors that one sweep holds; where they are more, units are swept in parts."""

Changes = dict[str, Array]
"""Tensors that differ from the float ones, by name."""


@dataclass(kw_only=True)
class Sweep:
    """Segments of a float graph, with sessions that several threads may run.

    `parts`: share of each part of a unit in the noise of its own result, for the first inputs
    """

    matched: Matched
    units: tuple[Unit, ...]
    parts: dict[Unit, dict[Part, float]] = field(default_factory=dict, init=False)
    _sessions: dict[tuple[int, bool], Session] = field(default_factory=dict, init=False)
    _at_once: int = field(default=1, init=False)

    @cached_property
    def segments(self) -> list[UnitSegment]:
        return segments_of(self.matched.prepared, self.units)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        return tuple(name_of(value) for value in self.matched.prepared.graph.outputs)

    def open(self, feeds: Feeds) -> dict[str, int]:
        """Opens all sessions, and returns the number of elements of each tensor between segments.

        Types that the graph leaves open are those of these inputs.
        """
        tensors, whole = dict(feeds), self.matched.prepared
        sizes = {name: array.size for name, array in tensors.items()}
        most = 1
        for i, segment in enumerate(self.segments):
            self._sessions[i, False] = _open(segment.model(whole, tensors), optimize=True)
            if segment.unit is not None:
                alone = quantized_alone(self.matched, segment, segment.unit, tensors=tensors)
                self._sessions[i, True] = _open(alone, optimize=False)
            made = self._run(i, tensors)
            if segment.unit is not None:
                self.parts[segment.unit] = self._shares(segment, segment.unit, tensors, made)
            tensors |= made
            sizes |= {name: tensors[name].size for name in segment.gives}
            most = max(most, sum(array.nbytes for array in tensors.values()))
            _forget(segment, tensors)
        self._at_once = max(1, _BYTES // most)
        return sizes

    def _shares(self, segment: UnitSegment, unit: Unit, tensors: Changes, made: Changes) -> dict[Part, float]:
        noise: dict[Part, float] = {}
        for part in Part:
            alone = quantized_alone(self.matched, segment, unit, [part], tensors=tensors)
            session = _open(alone, optimize=False)
            found = session.run({name: tensors[name] for name in segment.reads})
            sums = NoiseSum()
            sums.add(made[unit.output], found[unit.output])
            noise[part] = sums.noise
        total = sum(noise.values())
        return {part: share / total for part, share in noise.items() if share} if total else {}

    def run(self, feeds: Feeds) -> Iterator[tuple[Unit | None, dict[str, Array]]]:
        """Outputs of the float graph, with None, then those with each unit in 8 bits."""
        for start in range(0, len(self.units), self._at_once):
            tensors, changed = self._swept(feeds, self.units[start : start + self._at_once])
            if start == 0:
                yield None, {name: tensors[name] for name in self.outputs}
            for unit, changes in changed.items():
                yield unit, {name: changes.get(name, tensors[name]) for name in self.outputs}

    def _swept(self, feeds: Feeds, units: Sequence[Unit]) -> tuple[Changes, dict[Unit, Changes]]:
        """Float outputs, and those that differ with each of the units."""
        tensors, changed = dict(feeds), dict[Unit, Changes]()
        for i, segment in enumerate(self.segments):
            for changes in changed.values():
                if not changes.keys().isdisjoint(segment.reads):
                    changes |= self._run(i, {**tensors, **changes})
            if segment.unit is not None and segment.unit in units:
                changed[segment.unit] = self._run(i, tensors, rounded=True)
            tensors |= self._run(i, tensors)
            for held in (tensors, *changed.values()):
                _forget(segment, held)
        return tensors, changed

    def _run(self, i: int, tensors: Changes, *, rounded: bool = False) -> Changes:
        return self._sessions[i, rounded].run({name: tensors[name] for name in self.segments[i].reads})


def passes(sweep: Sweep) -> float:
    """Cost of a sweep, in float passes, by multiply-adds."""
    cost = macs(sweep.matched.prepared)
    own = [sum(cost.get(name_of(node), 0) for node in segment.nodes) for segment in sweep.segments]
    total, later = sum(own), 0
    suffixes = 0
    for segment, macs_ in zip(reversed(sweep.segments), reversed(own), strict=True):
        suffixes += later if segment.unit is not None else 0
        later += macs_
    return 2.0 + suffixes / total if total else 2.0 + len(sweep.units) / 2


def _forget(segment: UnitSegment, tensors: Changes) -> None:
    for name in segment.last_read:
        tensors.pop(name, None)


def _open(model: ir.Model, *, optimize: bool) -> Session:
    """Session in one thread; samples run side by side instead."""
    return get_runtime("onnxruntime").open(model, threads=1, optimize=optimize)
