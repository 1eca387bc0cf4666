"""Operators that rearrange values: shapes, joins, slices."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tinyint.torch_graph.operators.node import Function, Maker, Node, plain

__all__ = ["OPERATORS"]


def _shape(node: Node) -> Function:
    start, end = node.integer("start"), node.integer("end") if node.has("end") else None
    return lambda x: torch.tensor(list(x.shape[start:end]), dtype=torch.int64)


def _reshape(node: Node) -> Function:
    shapes, keep_zero = node.reader(1), bool(node.integer("allowzero"))

    def reshape(x: Tensor, shape: Tensor | None = None) -> Tensor:
        sizes = shapes(shape)
        if not keep_zero:
            sizes = [x.shape[i] if n == 0 else n for i, n in enumerate(sizes)]
        return torch.reshape(x, sizes)

    return reshape


def _flatten(node: Node) -> Function:
    axis = node.integer("axis", 1)

    def flatten(x: Tensor) -> Tensor:
        if axis == 1 and x.dim() > 1:
            return x.flatten(1)
        return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))

    return flatten


def _transpose(node: Node) -> Function:
    order = node.integers("perm")
    return lambda x: x.permute(order if order is not None else list(range(x.dim()))[::-1])


def _concat(node: Node) -> Function:
    axis = node.integer("axis")
    return lambda *inputs: torch.cat(inputs, axis)


def _split(node: Node) -> Function:
    axis, parts = node.integer("axis"), node.outputs
    sizes = node.reader(1) if node.opset >= 13 else None
    fixed = node.integers("split")

    def split(x: Tensor, size: Tensor | None = None) -> tuple[Tensor, ...]:
        lengths = fixed if sizes is None else sizes(size)
        if lengths is None:
            length = x.shape[axis]
            each = -(-length // parts)  # the last one may be smaller
            lengths = [max(min(each, length - i * each), 0) for i in range(parts)]
        return torch.split(x, lengths, axis)

    return split


def _axes(node: Node) -> Callable[[Tensor | None], list[int] | None]:
    """Reader of the axes, which are an attribute before opset 13 and then an input."""
    if node.opset >= 13:
        read = node.reader(1)
        return lambda axes: read(axes)
    fixed = node.integers("axes")
    return lambda _: fixed


def _squeeze(node: Node) -> Function:
    read = _axes(node)

    def squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
        numbers = read(axes)
        return x.squeeze() if numbers is None else x.squeeze(tuple(numbers))

    return squeeze


def _unsqueeze(node: Node) -> Function:
    read = _axes(node)

    def unsqueeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
        numbers = read(axes) or []
        rank = x.dim() + len(numbers)
        for axis in sorted(a % rank for a in numbers):
            x = x.unsqueeze(axis)
        return x

    return unsqueeze


def _slice(node: Node) -> Function:
    if node.opset < 10:
        fixed = [node.integers("starts") or [], node.integers("ends") or [], node.integers("axes")]
        return lambda x: _cut(x, fixed[0] or [], fixed[1] or [], fixed[2], None)
    readers = [node.reader(i) for i in (1, 2, 3, 4)]

    def cut(x: Tensor, *bounds: Tensor | None) -> Tensor:
        padded = [*bounds, *[None] * (4 - len(bounds))]
        return _cut(x, *(read(tensor) for read, tensor in zip(readers, padded, strict=True)))

    return cut


def _cut(
    x: Tensor,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None,
    steps: Sequence[int] | None,
) -> Tensor:
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis, step = i if axes is None else axes[i] % x.dim(), 1 if steps is None else steps[i]
        size = x.shape[axis]
        if step > 0:
            x = x[(slice(None),) * axis + (slice(start, end, step),)]
            continue
        first, last, _ = slice(start, end, step).indices(size)
        x = x.index_select(axis, torch.arange(first, last, step, device=x.device))
    return x


def _expand(node: Node) -> Function:
    shapes = node.reader(1)

    def expand(x: Tensor, shape: Tensor | None = None) -> Tensor:
        sizes = shapes(shape)
        sizes = [1] * (x.dim() - len(sizes)) + sizes
        new = len(sizes) - x.dim()
        return x.expand([-1 if i >= new and x.shape[i - new] != 1 else n for i, n in enumerate(sizes)])

    return expand


def _tile(node: Node) -> Function:
    repeats = node.reader(1)
    return lambda x, repeat=None: x.repeat(repeats(repeat))


def _depth_to_space(node: Node) -> Function:
    size, columns_first = node.integer("blocksize"), node.text("mode", "DCR") == "CRD"

    def depth_to_space(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        depth = c // (size * size)
        if columns_first:
            return torch.pixel_shuffle(x, size)
        x = x.reshape(n, size, size, depth, h, w).permute(0, 3, 4, 1, 5, 2)
        return x.reshape(n, depth, h * size, w * size)

    return depth_to_space


def _space_to_depth(node: Node) -> Function:
    size = node.integer("blocksize")
    columns_first = node.text("mode", "DCR") == "CRD"

    def space_to_depth(x: Tensor) -> Tensor:
        if columns_first:
            return torch.pixel_unshuffle(x, size)
        n, c, h, w = x.shape
        x = x.reshape(n, c, h // size, size, w // size, size).permute(0, 3, 5, 1, 2, 4)
        return x.reshape(n, c * size * size, h // size, w // size)

    return space_to_depth


def _trilu(node: Node) -> Function:
    upper, diagonals = bool(node.integer("upper", 1)), node.reader(1)
    cut = torch.triu if upper else torch.tril
    return lambda x, k=None: cut(x, diagonals(k) or 0)


def _dropout(node: Node) -> Function:
    """Dropout of inference, which drops nothing, also in training."""
    if node.wanted(1):
        return lambda x, *_: (x, torch.ones_like(x, dtype=torch.bool))
    return lambda x, *_: x


OPERATORS: dict[str, Maker] = {
    "Shape": _shape,
    "Size": plain(lambda x: torch.tensor(x.numel(), dtype=torch.int64)),
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Expand": _expand,
    "Tile": _tile,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Trilu": _trilu,
    "Identity": plain(lambda x: x),
    "Dropout": _dropout,
}
