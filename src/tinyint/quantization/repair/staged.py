"""Run of a graph in stages, whose results can be changed on the way.

All samples go through a stage before the next begins, so that the whole is one pass over them, however many stages
there are. What later stages read is held; where that would be too much, the last samples are left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.names import name_of
from tinyint.graph.segments import Segment, cut
from tinyint.numbers.numerics import Array
from tinyint.runtimes import Feeds, get_runtime

__all__ = ["Tensors", "staged"]

_BYTES = 256 << 20
_FEWEST = 4

Tensors = dict[str, Array]
"""Tensors of one sample, by name."""


def staged(
    model: ir.Model, ends: Collection[str], samples: Sequence[Feeds]
) -> Iterator[tuple[ir.Node, list[Tensors]]]:
    """Runs the graph op by op, to each node of `ends` in turn.

    Yields the node, with the tensors of each sample that are still to be read; what is changed there goes on.

    Raises ModelError where a value that is no tensor passes between stages.
    """
    held: list[Tensors] = [dict(feeds) for feeds in samples]
    for segment in cut(model, list(_stages(model.graph, ends))):
        last = segment.nodes[-1]
        if name_of(last) not in ends:
            return  # only the last stage: nobody asks for what it makes
        if not segment.gives or not held:
            continue
        _run(segment, model, held)
        while len(held) > _FEWEST and _bytes(held) > _BYTES:
            held.pop()
        if name_of(last.outputs[0]) in segment.gives:
            yield last, held


def _stages(graph: ir.Graph, ends: Collection[str]) -> Iterator[tuple[ir.Node, ...]]:
    nodes: list[ir.Node] = []
    for node in graph:
        nodes.append(node)
        if name_of(node) in ends:
            yield tuple(nodes)
            nodes = []
    if nodes:
        yield tuple(nodes)


def _run(segment: Segment, model: ir.Model, held: Sequence[Tensors]) -> None:
    """Puts what the segment gives in the place of what it reads last."""
    session = get_runtime("onnxruntime").open(segment.model(model, held[0]), optimize=False)
    for tensors in held:
        made = session.run({name: tensors[name] for name in segment.reads})
        if other := [name for name, array in made.items() if not isinstance(array, np.ndarray)]:
            raise ModelError(
                f"{other[0]!r} is no tensor: a graph is run in stages only where tensors pass between"
            )
        tensors |= made
        for name in segment.last_read:
            del tensors[name]


def _bytes(held: Sequence[Tensors]) -> int:
    return sum(array.nbytes for tensors in held for array in tensors.values())
