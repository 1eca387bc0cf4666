"""Results in the order of their items, whatever runs first."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyint.runtimes.ordered import Ordered


@given(items=st.lists(st.integers(), max_size=30), workers=st.integers(1, 4))
@settings(max_examples=30)
def test_it_is_map(items: list[int], workers: int) -> None:
    assert list(Ordered(lambda x: 2 * x, items, workers)) == [2 * x for x in items]


def test_results_wait_for_those_before_them() -> None:
    second_ran = threading.Event()

    def run(item: int) -> int:
        if item == 1:
            assert second_ran.wait(30)
        else:
            second_ran.set()
        return item

    assert list(Ordered(run, [1, 2, 3], 2)) == [1, 2, 3]


@pytest.mark.parametrize("workers", [1, 3])
def test_items_are_taken_at_most_twice_as_many_ahead(workers: int) -> None:
    taken = []

    def items() -> Iterator[int]:
        for i in range(100):
            taken.append(i)
            yield i

    results = Ordered(lambda x: x, items(), workers)
    assert taken == []
    for i in range(5):
        assert next(results) == i
        assert len(taken) == 2 * workers + i


def test_an_error_is_at_the_place_of_its_item_and_the_rest_follows() -> None:
    results = Ordered(lambda x: 6 // x, [1, 0, 2, 3], 2)
    assert next(results) == 6
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == [3, 2]


def test_an_error_of_the_items_comes_after_the_results_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the disk is gone")

    results = Ordered(lambda x: x, items(), 4)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(results)
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(results)


def test_no_thread_is_left_when_it_is_read_or_thrown_away() -> None:
    def ours() -> list[threading.Thread]:
        return [t for t in threading.enumerate() if t.name.startswith("tinyint-map")]

    assert list(Ordered(lambda x: x, range(9), 3)) == list(range(9))
    assert ours() == []
    results = Ordered(lambda x: x, range(100), 3)
    next(results)
    left = ours()
    assert left
    del results
    for thread in left:
        thread.join(30)
        assert not thread.is_alive()
