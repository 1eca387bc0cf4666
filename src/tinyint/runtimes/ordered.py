"""Runs several at a time, with results in the order of their inputs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

__all__ = ["Ordered"]

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 2  # inputs taken for each worker: one that runs, and one that waits


class Ordered(Generic[T, R], Iterator[R]):
    """Iterator over `run(item)` of each item, which `workers` threads compute ahead.

    Items are taken by the thread that asks for results, at most twice as many ahead as there are workers. An error of
    `run` comes at the place of its item, and the next result after it can be asked for; an error of `items` comes after
    the results of those before it, and ends the iteration.
    """

    def __init__(self, run: Callable[[T], R], items: Iterable[T], workers: int) -> None:
        self._run, self._items = run, iter(items)
        self._most = _AHEAD * workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="tinyint-map")
        self._waiting: deque[Future[R]] = deque()
        self._end: BaseException | None = None

    def __next__(self) -> R:
        while self._end is None and len(self._waiting) < self._most:
            try:
                item = next(self._items)
            except BaseException as error:  # StopIteration too
                self._end = error
            else:
                self._waiting.append(self._pool.submit(self._run, item))
        if self._waiting:
            return self._waiting.popleft().result()
        self._pool.shutdown()
        end, self._end = self._end, StopIteration()
        assert end is not None
        raise end
