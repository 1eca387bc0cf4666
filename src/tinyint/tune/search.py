"""Search for the fewest milliseconds in float with which a model is good enough.

Units are put in an order, by the noise that float takes away per millisecond that it costs. How many of them, from the
first on, have to be in float is found by doubling and bisection; then the dear ones among them are given back, one by
one, as long as the rest is good enough without. That is greedy, and exact where units do not act on each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Candidate", "Outcome", "Search", "ordered"]

_GIVEN_BACK = 16
"""Units at most that are tried without, once a set is found."""
_LEAST_SHARE, _NEXT_TO_NOTHING = 0.02, 1e-12


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Unit that may be left in float.

    * `noise`: that it makes in 8 bits; `cost`: of float, in milliseconds (negative: float is faster)
    """

    name: str
    noise: float
    cost: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Judgement of a model: its metric, and how far from the goal it is.

    Not above 0, it meets it.
    """

    value: float
    shortfall: float

    @property
    def met(self) -> bool:
        return self.shortfall <= 0.0


Names = frozenset[str]


def ordered(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Candidates by noise per cost, highest first.

    A cost below 2 % of the sum, and one below zero, counts as that: times are not known better.
    """
    known = list(candidates)
    least = max(_LEAST_SHARE * sum(max(c.cost, 0.0) for c in known), _NEXT_TO_NOTHING)
    return sorted(known, key=lambda c: (-c.noise / max(c.cost, least), c.name))


@dataclass(kw_only=True)
class Search:
    """Search over sets of units in float.

    * `judge`: trial of a set; None where there is no more time for one
    * `better`: called with each set that is better than those before: good enough and cheaper, or, while none is,
      nearer to it
    """

    candidates: Sequence[Candidate]
    judge: Callable[[Names], Outcome | None]
    better: Callable[[Names, Outcome], object]
    best: tuple[Names, Outcome] | None = None
    trials: int = 0

    def run(self) -> bool:
        """Whether the search came to its end; False where the time ended it."""
        units = ordered(self.candidates)
        most = len(units) - 1  # with all of them in float, there is no int8 model
        failed, count = -1, 0
        while True:
            outcome = self._try(units[:count])
            if outcome is None:
                return False
            if outcome.met:
                break
            failed = count
            if count >= most:
                return True
            count = min(max(1, 2 * count), most)
        while count - failed > 1:
            middle = (failed + count) // 2
            outcome = self._try(units[:middle])
            if outcome is None:
                return False
            failed, count = (failed, middle) if outcome.met else (middle, count)
        return self._give_back(units[:count])

    def _give_back(self, kept: list[Candidate]) -> bool:
        """Tries the set without each unit that costs something, the dearest first."""
        dear = sorted((c for c in kept[:-1] if c.cost > 0.0), key=lambda c: -c.cost)
        for candidate in dear[:_GIVEN_BACK]:
            rest = [c for c in kept if c is not candidate]
            outcome = self._try(rest)
            if outcome is None:
                return False
            if outcome.met:
                kept = rest
        return True

    def _try(self, units: Sequence[Candidate]) -> Outcome | None:
        names = frozenset(unit.name for unit in units)
        outcome = self.judge(names)
        if outcome is None:
            return None
        self.trials += 1
        if self._is_better(names, outcome):
            self.best = names, outcome
            self.better(names, outcome)
        return outcome

    def _is_better(self, names: Names, outcome: Outcome) -> bool:
        if self.best is None:
            return True
        known, before = self.best
        if outcome.met != before.met:
            return outcome.met
        if not outcome.met:
            return outcome.shortfall < before.shortfall or math.isnan(before.shortfall)
        return self.cost(names) < self.cost(known)

    def cost(self, names: Names) -> float:
        """Sum of what the units cost in float."""
        return sum(candidate.cost for candidate in self.candidates if candidate.name in names)
