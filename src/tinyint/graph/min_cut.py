"""Minimum cut of a directed graph with capacities, by Dinic's maximum flow."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from typing import TypeVar

__all__ = ["min_cut"]

N = TypeVar("N", bound=Hashable)

_NOTHING = 1e-12


class _Flow:
    """Residual network; edge i and its reverse i ^ 1 stand side by side."""

    def __init__(self, vertices: int) -> None:
        self.out: list[list[int]] = [[] for _ in range(vertices)]
        self.head: list[int] = []
        self.left: list[float] = []

    def add(self, tail: int, head: int, capacity: float) -> None:
        for a, b, amount in ((tail, head, capacity), (head, tail, 0.0)):
            self.out[a].append(len(self.head))
            self.head.append(b)
            self.left.append(amount)

    def levels(self, source: int) -> list[int]:
        """Edges on the shortest way with capacity left from the source; -1 where there is none."""
        level = [-1] * len(self.out)
        level[source], waiting = 0, deque([source])
        while waiting:
            tail = waiting.popleft()
            for edge in self.out[tail]:
                head = self.head[edge]
                if level[head] < 0 and self.left[edge] > _NOTHING:
                    level[head] = level[tail] + 1
                    waiting.append(head)
        return level

    def saturate(self, source: int, sink: int, level: list[int]) -> None:
        """Blocking flow along edges that lead one level down."""
        tried, path, tail = [0] * len(self.out), list[int](), source
        while True:
            if tail == sink:
                least = min(self.left[edge] for edge in path)
                for edge in path:
                    self.left[edge] -= least
                    self.left[edge ^ 1] += least
                path, tail = [], source
                continue
            following = self._next(tail, tried, level)
            if following is not None:
                path.append(following)
                tail = self.head[following]
            elif path:
                tail = self.head[path.pop() ^ 1]
                tried[tail] += 1
            else:
                return

    def _next(self, tail: int, tried: list[int], level: list[int]) -> int | None:
        while tried[tail] < len(self.out[tail]):
            edge = self.out[tail][tried[tail]]
            if self.left[edge] > _NOTHING and level[self.head[edge]] == level[tail] + 1:
                return edge
            tried[tail] += 1
        return None


def min_cut(edges: Iterable[tuple[N, N, float]], source: N, sink: N) -> set[N]:
    """Vertices on the source's side of a cut of least capacity.

    The fewest, if there are several such cuts.

    `edges`: (tail, head, capacity), of 0 or more; not all may be infinite on any way to the sink. Raises ValueError for
    a negative capacity.
    """
    number: dict[N, int] = {source: 0, sink: 1}
    listed = [
        (number.setdefault(a, len(number)), number.setdefault(b, len(number)), capacity)
        for a, b, capacity in edges
    ]
    if any(not capacity >= 0 for _, _, capacity in listed):
        raise ValueError("a capacity is negative, or not a number")
    flow = _Flow(len(number))
    for a, b, capacity in listed:
        flow.add(a, b, capacity)
    while (level := flow.levels(0))[1] >= 0:
        flow.saturate(0, 1, level)
    return {vertex for vertex, i in number.items() if level[i] >= 0}
