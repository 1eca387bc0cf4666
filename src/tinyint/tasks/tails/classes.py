"""Conversion of logits to probabilities, or to the highest class."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.names import name_of
from tinyint.tasks.tails.builder import TailBuilder

__all__ = ["argmax_tail", "logits_output", "softmax_tail"]


def softmax_tail(logits: str, *, pixels: bool = False) -> ir.Model:
    """Softmax of logits (N, C) to `probabilities` (N, C).

    With `pixels`, both (N, C, H, W).
    """
    graph = TailBuilder()
    shape = ("N", "C", "H", "W") if pixels else ("N", "C")
    probabilities = graph.op("Softmax", graph.input(logits, *shape), axis=1)
    return graph.model(probabilities=(probabilities, ir.DataType.FLOAT, shape))


def argmax_tail(logits: str) -> ir.Model:
    """Highest class of logits (N, C, H, W) as `labels` (N, H, W), int64.

    Of equal ones, the lower.
    """
    graph = TailBuilder()
    labels = graph.op("ArgMax", graph.input(logits, "N", "C", "H", "W"), axis=1, keepdims=0)
    return graph.model(labels=(labels, ir.DataType.INT64, ("N", "H", "W")))


def logits_output(graph: ir.Graph, rank: int, task: str) -> str:
    """First output that has `rank` axes, or an unknown shape; raises ModelError without one."""
    for value in graph.outputs:
        if value.shape is None or len(value.shape) == rank:
            return name_of(value)
    listed = ", ".join(f"{value.name!r} {value.shape}" for value in graph.outputs)
    raise ModelError(f"the model is for {task}, but none of its outputs has {rank} axes: {listed}")
