"""Pools over the spatial axes of (N, C, spatial…)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tinyint.torch_graph.operators.node import Function, Maker, Node, in_single, plain
from tinyint.torch_graph.operators.window import Window, pad_space, read_window

__all__ = ["OPERATORS"]

_MAX: dict[int, Callable[..., tuple[Tensor, Tensor]]] = {
    1: functional.max_pool1d_with_indices,
    2: functional.max_pool2d_with_indices,
    3: functional.max_pool3d_with_indices,
}
_AVERAGE: dict[int, Callable[..., Tensor]] = {
    1: functional.avg_pool1d,
    2: functional.avg_pool2d,
    3: functional.avg_pool3d,
}
_CONV: dict[int, Callable[..., Tensor]] = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_MAX_ONLY: dict[int, Callable[..., Tensor]] = {
    1: functional.max_pool1d,
    2: functional.max_pool2d,
    3: functional.max_pool3d,
}


def _padding(window: Window, sizes: Sequence[int]) -> tuple[list[tuple[int, int]], list[int] | None]:
    """Whole padding with overhang, and the same as torch's argument.

    None if torch does not take it.
    """
    pads = window.padding(sizes)
    over = window.overhang(sizes)
    whole = [(begin, end + more) for (begin, end), more in zip(pads, over, strict=True)]
    native = all(b == e and 2 * b <= k for (b, e), k in zip(whole, window.kernel, strict=True))
    return whole, [begin for begin, _ in whole] if native else None


def _max_pool(node: Node) -> Function:
    window = read_window(node, node.integers("kernel_shape") or [])
    axes, by_column = len(window.kernel), bool(node.integer("storage_order"))
    geometry = (window.kernel, window.strides)

    def max_pool(x: Tensor) -> Tensor | tuple[Tensor, ...]:
        sizes = x.shape[2:]
        whole, native = _padding(window, sizes)
        values = x if x.is_floating_point() else x.to(torch.float32)
        if native is None:
            values = pad_space(values, whole, float("-inf"))
        arguments = (values, *geometry, native or 0, window.dilations)
        if not node.wanted(1):
            return _MAX_ONLY[axes](*arguments).to(x.dtype)
        pooled, flat = _MAX[axes](*arguments)
        indices = _unravel(flat, values.shape[2:])
        if native is None:
            indices = [index - begin for index, (begin, _) in zip(indices, whole, strict=True)]
        position = _ravel(indices[::-1], sizes[::-1]) if by_column else _ravel(indices, sizes)
        planes = torch.arange(x.shape[0] * x.shape[1], device=x.device) * sizes.numel()
        return pooled.to(x.dtype), position + planes.reshape(x.shape[0], x.shape[1], *[1] * axes)

    return max_pool


def _unravel(flat: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    indices = []
    for size in reversed(sizes):
        indices.append(flat % size)
        flat = flat // size
    return indices[::-1]


def _ravel(indices: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    flat = torch.zeros_like(indices[0])
    for index, size in zip(indices, sizes, strict=True):
        flat = flat * size + index
    return flat


def _window_sum(x: Tensor, window: Window) -> Tensor:
    """Sum in each window of x, which is padded already."""
    planes = x.reshape(-1, 1, *x.shape[2:])
    ones = torch.ones(1, 1, *window.kernel, dtype=x.dtype, device=x.device)
    total = _CONV[len(window.kernel)](planes, ones, None, window.strides, 0, window.dilations)
    return total.reshape(*x.shape[:2], *total.shape[2:])


def _average_pool(node: Node) -> Function:
    window = read_window(node, node.integers("kernel_shape") or [])
    with_pads = bool(node.integer("count_include_pad"))

    def average_pool(x: Tensor) -> Tensor:
        sizes = x.shape[2:]
        whole, native = _padding(window, sizes)
        if native is not None and set(window.dilations) == {1}:
            run = _AVERAGE[len(window.kernel)]
            # torch 2.13 has no pool over three axes for float16 on a CPU.
            values = in_single(x) if len(window.kernel) == 3 else x
            return run(values, window.kernel, window.strides, native, False, with_pads).to(x.dtype)
        values = in_single(x)
        ones = torch.ones(1, 1, *sizes, dtype=values.dtype, device=x.device)
        if with_pads:
            ones = pad_space(ones, window.padding(sizes), 1.0)
        over = [(w[0] + w[1] + n - c) for w, n, c in zip(whole, sizes, ones.shape[2:], strict=True)]
        ends = [(0, o) for o in over] if with_pads else whole
        total, count = (_window_sum(pad_space(v, e), window) for v, e in ((values, whole), (ones, ends)))
        return (total / count).to(x.dtype)

    return average_pool


def _lp_pool(node: Node) -> Function:
    window, p = read_window(node, node.integers("kernel_shape") or []), node.integer("p", 2)

    def lp_pool(x: Tensor) -> Tensor:
        whole, _ = _padding(window, x.shape[2:])
        powers = in_single(x).abs() ** p
        return _root(_window_sum(pad_space(powers, whole), window), p).to(x.dtype)

    return lp_pool


def _space(x: Tensor) -> list[int]:
    return list(range(2, x.dim()))


def _global_lp_pool(node: Node) -> Function:
    p = node.integer("p", 2)
    return lambda x: _root((in_single(x).abs() ** p).sum(_space(x), keepdim=True), p).to(x.dtype)


def _root(x: Tensor, p: int) -> Tensor:
    """p-th root with gradient 0 at 0, where it would be infinite.

    A ReLU may leave a window all zeros.
    """
    positive = x > 0
    return torch.where(positive, x, 1) ** (1 / p) * positive


def _max_unpool(node: Node) -> Function:
    window = read_window(node, node.integers("kernel_shape") or [])
    shape = node.reader(2)

    def max_unpool(x: Tensor, index: Tensor, size: Tensor | None = None) -> Tensor:
        geometry = zip(x.shape[2:], window.strides, window.kernel, window.pads, strict=True)
        least = [*x.shape[:2], *((n - 1) * s + k - b - e for n, s, k, (b, e) in geometry)]
        output_shape = shape(size)
        flat = torch.zeros(least, dtype=x.dtype, device=x.device).reshape(-1)
        filled = flat.scatter(0, index.reshape(-1), x.reshape(-1)).reshape(least)
        if not output_shape:
            return filled
        return pad_space(filled, [(0, m - n) for m, n in zip(output_shape[2:], least[2:], strict=True)])

    return max_unpool


OPERATORS: dict[str, Maker] = {
    "MaxPool": _max_pool,
    "MaxUnpool": _max_unpool,
    "AveragePool": _average_pool,
    "LpPool": _lp_pool,
    "GlobalAveragePool": plain(lambda x: x.mean(_space(x), keepdim=True)),
    "GlobalMaxPool": plain(lambda x: x.amax(_space(x), keepdim=True)),
    "GlobalLpPool": _global_lp_pool,
}
