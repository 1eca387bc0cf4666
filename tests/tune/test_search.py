"""Search for units in float, on sums of noise that are known."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyint.tune.search import Candidate, Outcome, Search, ordered


def candidate(name: str, noise: float, cost: float) -> Candidate:
    return Candidate(name=name, noise=noise, cost=cost)


FOUR = [
    candidate("a", 8.0, 4.0),
    candidate("b", 4.0, 1.0),
    candidate("c", 1.0, 1.0),
    candidate("d", 2.0, -0.5),
]


def search(
    candidates: list[Candidate], allowed: float, trials: int = 1000
) -> tuple[Search, list[frozenset[str]]]:
    """Search where noise adds up and may be `allowed` at most, with the sets that were written."""
    left = [trials]
    written: list[frozenset[str]] = []

    def judge(names: frozenset[str]) -> Outcome | None:
        if not left[0]:
            return None
        left[0] -= 1
        noise = sum(c.noise for c in candidates if c.name not in names)
        return Outcome(value=-noise, shortfall=noise - allowed)

    return Search(candidates=candidates, judge=judge, better=lambda names, _: written.append(names)), written


def test_the_order_is_by_noise_per_cost() -> None:
    assert [c.name for c in ordered([*FOUR, candidate("e", 0.0, -9.0)])] == ["d", "b", "a", "c", "e"]
    # 2 % of 100: costs of less count alike
    units = [candidate("a", 0.1, -5.0), candidate("b", 9.0, 100.0), candidate("c", 0.2, 0.5)]
    assert [c.name for c in ordered(units)] == ["c", "b", "a"]  # 0.1, 0.09, 0.05


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [(15.0, ""), (13.0, "d"), (9.0, "bd"), (3.0, "ad" + "b"), (1.0, "abd")],
)
def test_the_fewest_units_in_the_order_of_gain(allowed: float, expected: str) -> None:
    found, _ = search(FOUR, allowed)
    assert found.run()
    assert found.best is not None
    assert found.best[0] == frozenset(expected)
    assert found.best[1].met


def test_a_dear_unit_that_is_not_needed_is_given_back() -> None:
    # by gain: a (10 / 10), then b (6 / 7): both, or b alone
    units = [candidate("a", 10.0, 10.0), candidate("b", 11.0, 12.0), candidate("c", 0.1, 1.0)]
    found, _ = search(units, 10.5)
    assert found.run()
    assert found.best is not None
    assert found.best[0] == {"b"}


def test_a_goal_that_nothing_meets_ends_with_the_nearest() -> None:
    found, written = search(FOUR, 0.5)
    assert found.run()
    assert found.best is not None
    assert not found.best[1].met
    assert found.best[0] == {"a", "b", "d"}  # with c too, nothing would be left in int8
    assert written[-1] == found.best[0]


def test_without_time_the_best_so_far_stays() -> None:
    found, written = search(FOUR, 3.0, trials=2)
    assert not found.run()
    assert written == [frozenset(), {"d"}]
    none, _ = search(FOUR, 3.0, trials=0)
    assert not none.run()
    assert none.best is None


def test_nan_never_meets_the_goal() -> None:
    outcome = Outcome(value=math.nan, shortfall=math.inf)
    found = Search(candidates=FOUR, judge=lambda _: outcome, better=lambda *_: None)
    assert found.run()
    assert found.best == (frozenset(), outcome)


numbers = st.floats(0.01, 10.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=6), st.floats(0.0, 1.0))
def test_it_is_met_if_it_can_be_and_not_far_from_the_best(
    pairs: list[tuple[float, float]], share: float
) -> None:
    units = [candidate(f"u{i}", noise, cost) for i, (noise, cost) in enumerate(pairs)]
    allowed = share * sum(c.noise for c in units)
    found, written = search(units, allowed)
    assert found.run()
    assert found.best is not None
    names = [c.name for c in units]
    noise = {c.name: c.noise for c in units}
    good = [
        frozenset(some)
        for count in range(len(names))
        for some in combinations(names, count)
        if sum(noise[n] for n in names if n not in some) <= allowed
    ]
    by_order = ordered(units)
    prefixes = [frozenset(c.name for c in by_order[:k]) for k in range(len(units))]
    if any(prefix in good for prefix in prefixes):
        assert found.best[0] in good
        first = next(prefix for prefix in prefixes if prefix in good)
        assert found.cost(found.best[0]) <= found.cost(first)  # never dearer than the plain order
    costs = [found.cost(names_) for names_ in written if names_ in good]
    assert costs == sorted(costs, reverse=True)  # each better one is cheaper than those before
