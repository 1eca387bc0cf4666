"""Minimum cuts: by hand, and against all cuts of small random graphs."""

from __future__ import annotations

from itertools import product
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyint.graph.min_cut import min_cut


def test_the_narrowest_place_is_cut() -> None:
    assert min_cut([("s", "a", 3.0), ("a", "b", 1.0), ("b", "t", 2.0)], "s", "t") == {"s", "a"}


def test_the_nearest_of_equal_cuts_is_taken() -> None:
    assert min_cut([("s", "a", 1.0), ("a", "t", 1.0)], "s", "t") == {"s"}


def test_flow_that_took_a_wrong_turn_is_sent_back() -> None:
    edges = [("s", "a", 1.0), ("s", "b", 1.0), ("a", "c", 1.0), ("a", "d", 1.0), ("b", "c", 1.0)]
    assert min_cut([*edges, ("c", "t", 1.0), ("d", "t", 1.0)], "s", "t") == {"s"}


def test_an_infinite_edge_is_never_cut() -> None:
    edges = [("s", "a", 1.0), ("a", "b", inf), ("b", "t", 5.0)]
    assert min_cut(edges, "s", "t") == {"s"}
    assert min_cut([("s", "a", 7.0), *edges[1:]], "s", "t") == {"s", "a", "b"}


def test_a_sink_that_nothing_reaches() -> None:
    assert min_cut([("s", "a", 1.0)], "s", "t") == {"s", "a"}


@pytest.mark.parametrize("capacity", [-1.0, float("nan")])
def test_a_capacity_that_is_none(capacity: float) -> None:
    with pytest.raises(ValueError, match="a capacity is negative, or not a number"):
        min_cut([("s", "t", capacity)], "s", "t")


def cost(side: set[int], edges: list[tuple[int, int, float]]) -> float:
    return sum(capacity for tail, head, capacity in edges if tail in side and head not in side)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 9).map(float)), max_size=18))
def test_no_other_cut_costs_less(edges: list[tuple[int, int, float]]) -> None:
    side = min_cut(edges, 0, 1)
    assert 0 in side
    assert 1 not in side
    choices = product((False, True), repeat=4)
    others = ({0, *(v for v, taken in zip(range(2, 6), some, strict=True) if taken)} for some in choices)
    assert cost(side, edges) == min(cost(other, edges) for other in others)
