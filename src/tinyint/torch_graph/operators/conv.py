"""Convolutions and matrix products. Tensors are (N, C, spatial…)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tinyint.torch_graph.operators.node import Function, Maker, Node, plain
from tinyint.torch_graph.operators.window import Window, pad_space, read_window

__all__ = ["OPERATORS"]

_CONV: dict[int, Callable[..., Tensor]] = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


def _conv(node: Node) -> Function:
    group = node.integer("group", 1)

    def conv(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        window = read_window(node, weight.shape[2:])
        pads = window.symmetric(x.shape[2:])
        if pads is None:
            x = pad_space(x, window.padding(x.shape[2:]))
        run = _CONV[x.dim() - 2]
        return run(x, weight, bias, window.strides, pads or 0, window.dilations, group)

    return conv


def _conv_transpose(node: Node) -> Function:
    group, extra = node.integer("group", 1), node.integers("output_padding")

    def conv_transpose(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        window, added = read_window(node, weight.shape[2:]), extra or [0] * (x.dim() - 2)
        run = _TRANSPOSED[x.dim() - 2]
        if _is_native(node, window, added):
            pads = [begin for begin, _ in window.pads]
            return run(x, weight, bias, window.strides, pads, added, group, window.dilations)
        full = run(x, weight, None, window.strides, 0, 0, group, window.dilations)
        y = pad_space(full, _cuts(node, window, added, x.shape[2:]))
        return y if bias is None else y + bias.reshape(-1, *[1] * len(window.strides))

    return conv_transpose


def _is_native(node: Node, window: Window, added: Sequence[int]) -> bool:
    """Whether torch has such padding: equal at both ends, whatever the result's size."""
    if node.integers("output_shape") or window.auto.startswith("SAME"):
        return False
    room = zip(added, window.strides, window.dilations, strict=True)
    return all(begin == end for begin, end in window.pads) and all(a < max(s, d) for a, s, d in room)


def _cuts(node: Node, window: Window, added: Sequence[int], sizes: Sequence[int]) -> list[tuple[int, int]]:
    """(begin, end) of each axis by which to pad the full product.

    Negative where padding cuts it.
    """
    shape, same = node.integers("output_shape"), window.auto.startswith("SAME")
    cuts = []
    for i, (size, stride) in enumerate(zip(sizes, window.strides, strict=True)):
        begin, end = window.pads[i]
        if shape or same:
            length = shape[i - len(sizes)] if shape else size * stride
            total = (size - 1) * stride + added[i] + window.extents[i] - length
            if same:  # as in ONNX Runtime, whose result is then smaller
                total = max(total, 0)
            less, more = total // 2, total - total // 2
            begin, end = (less, more) if window.auto == "SAME_UPPER" else (more, less)
        cuts.append((-begin, added[i] - end))
    return cuts


def _gemm(node: Node) -> Function:
    alpha, beta = node.real("alpha", 1.0), node.real("beta", 1.0)
    left, right = bool(node.integer("transA")), bool(node.integer("transB"))

    def gemm(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        a = a.t() if left else a
        if right and alpha == beta == 1 and a.is_floating_point() and (c is None or c.dim() == 1):
            return functional.linear(a, b, c)
        product = a @ (b.t() if right else b)
        product = product if alpha == 1 else alpha * product
        if c is None:
            return product
        return product + (c if beta == 1 else beta * c)

    return gemm


OPERATORS: dict[str, Maker] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": plain(torch.matmul),
}
