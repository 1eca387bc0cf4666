"""Outputs whose rows are a selection, as after NMS, compared as sets.

In any number and order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from tinyint.graph.names import name_of
from tinyint.graph.walk import ancestors, constant_of, inner_nodes, static_shape
from tinyint.numbers.numerics import Array

__all__ = ["RowSums", "matched", "selections", "shape_depends_on_values"]

_SUPPRESSION = {"NonMaxSuppression"}
_RANKING = {"TopK"}
_PICKING = {"NonZero", "Compress", "Unique"}
_BODIES = {"If", "Loop"}
# By operator, the first input that says how large the output is.
_SHAPED = {
    "ConstantOfShape": 0, "Expand": 1, "OneHot": 1, "Pad": 1, "Range": 0, "Reshape": 1, "Resize": 2, "Slice": 1,
    "Tile": 1, "TopK": 1,
}  # fmt: skip
_NEAR = 0.1
"""Of the largest magnitude in a column: rows that differ by more in any are two things."""
_NEAR_SCORES = 0.2
"""In columns that stay within 0 to 1: a box that the other model is less sure of is the same box."""
_FEW = 16
"""Columns, each of which counts; of more, as in the masks of objects, it is the mean square."""
_MOST_PAIRS = 1 << 22


@dataclass(kw_only=True)
class RowSums:
    """Rows of both models, out of rows of either, over samples."""

    rows: int = 0
    matched: int = 0

    def add(self, expected: Array, actual: Array) -> None:
        ours, theirs = _rows(expected), _rows(actual)
        self.rows += len(ours) + len(theirs)
        self.matched += 2 * matched(ours, theirs)

    @property
    def share(self) -> float | None:
        """Dice's coefficient of the rows; None without any.

        Twice the rows that both have, over the rows of both.
        """
        return self.matched / self.rows if self.rows else None


def selections(graph: ir.Graph) -> frozenset[str]:
    """Outputs whose rows are selected: NMS, top-k, or a condition.

    A ranking alone makes a selection of boxes, (1, K, columns), not of a batch of rows; a condition alone, an output
    whose first dimension no input has.
    """
    known = {str(dim) for value in graph.inputs for dim in value.shape or ()}
    found = set()
    for output in graph.outputs:
        kinds, shape = _kinds(output), static_shape(output)
        boxes = shape is not None and len(shape) == 3
        open_rows = (
            bool(shape)
            and shape is not None
            and shape[0] is None
            and str((output.shape or ("",))[0]) not in known
        )
        if kinds & _SUPPRESSION or (kinds & _RANKING and boxes) or (kinds & _PICKING and open_rows):
            found.add(name_of(output))
    return frozenset(found)


def matched(ours: Array, theirs: Array) -> int:
    """Number of rows (K, columns) with their own match in (L, columns).

    Equal integers, or floats nearby.

    The nearest go together first. A column of floats that are whole numbers, as classes are, must be equal.
    """
    if not len(ours) or not len(theirs) or ours.shape[1] != theirs.shape[1]:
        return 0
    if len(ours) * len(theirs) > _MOST_PAIRS:  # too many to try each with each
        in_order = _distance(ours, theirs, _tolerance(ours)) if len(ours) == len(theirs) else np.empty(0)
        return int(np.count_nonzero(in_order <= 1))
    distance = _distance(ours[:, None], theirs[None], _tolerance(ours))
    pairs = np.argwhere(distance <= 1)
    order = np.argsort(distance[tuple(pairs.T)], kind="stable")
    taken_left, taken_right = set[int](), set[int]()
    for i, j in pairs[order].tolist():
        if i not in taken_left and j not in taken_right:
            taken_left.add(i)
            taken_right.add(j)
    return len(taken_left)


def _distance(ours: Array, theirs: Array, tolerance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance between rows (…, columns), in tolerances.

    A column at a time, so that memory does not grow with them.
    """
    total: NDArray[np.float64] = np.zeros(np.broadcast_shapes(ours.shape, theirs.shape)[:-1])
    few = len(tolerance) <= _FEW
    for column, width in enumerate(tolerance):
        with np.errstate(invalid="ignore"):  # infinities
            off = np.abs(ours[..., column].astype(np.float64) - theirs[..., column]) / width
        total = np.maximum(total, off) if few else total + off * off / len(tolerance)
    return total


def _tolerance(rows: Array) -> NDArray[np.float64]:
    """How far off a row may be in each column."""
    wide = rows.astype(np.float64)
    whole = (wide == np.rint(wide)).all(axis=0)
    scores = (wide >= 0).all(axis=0) & (wide <= 1).all(axis=0)
    near = np.where(scores, _NEAR_SCORES, np.maximum(_NEAR * np.abs(wide).max(axis=0), 1e-12))
    return np.asarray(np.where(whole, 0.5, near))


def _rows(array: Array) -> Array:
    """(K, columns). Rows of one number throughout, 0 or -1, fill up an output of fixed size, and are left out."""
    if array.ndim == 3 and len(array) == 1:
        array = array[0]
    rows = array.reshape(-1, 1) if array.ndim < 2 else array.reshape(len(array), math.prod(array.shape[1:]))
    if rows.shape[1] < 2:
        return rows
    filling = (rows == rows[:, :1]).all(axis=1) & (rows[:, 0] <= 0)
    return np.asarray(rows[~filling])


def shape_depends_on_values(value: ir.Value | None) -> bool:
    """Whether rounding differences may change this tensor's shape.

    For the same sample, in two models that round differently.
    """
    return value is not None and any(_sizes_by_value(node) for node in ancestors(value))


def _sizes_by_value(node: ir.Node) -> bool:
    if node.op_type in _SHAPED:
        sizes = node.inputs[_SHAPED[node.op_type] :]
        return any(operand is not None and constant_of(operand) is None for operand in sizes)
    return node.op_type in _SUPPRESSION | _PICKING | _BODIES


def _kinds(value: ir.Value) -> set[str]:
    """The operators that the value comes from, those in bodies included."""
    kinds = set[str]()
    for node in ancestors(value):
        kinds.add(node.op_type)
        kinds |= {inner.op_type for inner in inner_nodes(node)}
    return kinds
