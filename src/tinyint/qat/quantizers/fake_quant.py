"""Fake quantization on torch tensors, with gradients; see `numerics.fake_quantize`.

    x̂ = clip(round_half_even(x / s), qmin - z, qmax - z) · s

This equals (clip(round(x / s) + z, qmin, qmax) - z) · s code for code, and needs no addition. x / s is a division in
float32, as QuantizeLinear does. torch's own fake_quantize multiplies by 1 / s, which decides some ties otherwise.

The gradient passes where the code was not clipped (straight-through), and is zero elsewhere. What is kept for it is two
bytes an element, 0 or 1: torch compares into float32 and copies to bfloat16 with vector instructions, but writes bytes
one by one, which takes five times as long.

Sources of the learned ranges: LSQ (arXiv 1902.08153), LSQ+ (arXiv 2004.09576), PACT (arXiv 1805.06085).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

__all__ = ["fake_quantize", "fake_quantize_clipped", "fake_quantize_learned", "replaced"]

_BLOCK = 1 << 18  # elements: with their scratch they stay in the caches
_LEAST = 1 << 15  # elements: torch gives a thread no fewer


def fake_quantize(
    x: Tensor, scale: Tensor, lower: Tensor, upper: Tensor, *, in_place: bool = False, clips: bool = True
) -> Tensor:
    """x rounded to codes times `scale`, with a straight-through gradient.

    The codes are `lower` … `upper`; the gradient is for x alone.

    * `x`: any shape; computed in float32
    * `scale`, `lower` (qmin - z), `upper` (qmax - z): float32, of shapes that broadcast to x
    * `in_place`: x may be overwritten; for a tensor that nothing else reads, the gradient of its maker included
    * `clips`: False where the range is known to hold all of x, so that nothing need be kept for the gradient
    """
    result: Tensor = _StraightThrough.apply(x.float(), scale, lower, upper, in_place, clips)  # type: ignore[no-untyped-call]
    return result


def fake_quantize_learned(
    x: Tensor, scale: Tensor, offset: Tensor | None, lower: Tensor, upper: Tensor, levels: int
) -> Tensor:
    """`fake_quantize` with gradients for scale (LSQ) and offset (LSQ+).

    The offset is -z · s, if there is one.

        ∂x̂/∂s = round(x / s) - x / s   where not clipped, else `lower` or `upper`
        ∂x̂/∂β = 0                      where not clipped, else 1

    Both are summed over the elements that share the scale, N of them, and divided by √(N · levels); `levels` is the
    highest code, Q_P in the paper.
    """
    beta = torch.zeros_like(scale) if offset is None else offset
    result: Tensor = _LearnedScale.apply(x.float(), scale, beta, lower, upper, levels)  # type: ignore[no-untyped-call]
    return result


def fake_quantize_clipped(
    x: Tensor, lo: Tensor, hi: Tensor, scale: Tensor, lower: Tensor, upper: Tensor
) -> Tensor:
    """`fake_quantize` with gradients for the ends of the range (PACT).

    ∂x̂/∂hi = 1 where x was clipped above, and ∂x̂/∂lo = 1 where it was clipped below: PACT on both sides.
    """
    result: Tensor = _LearnedRange.apply(x.float(), lo, hi, scale, lower, upper)  # type: ignore[no-untyped-call]
    return result


def replaced(x: Tensor, values: Tensor) -> Tensor:
    """`values` in place of x, whose gradient they take."""
    result: Tensor = _Replaced.apply(x, values)  # type: ignore[no-untyped-call]
    return result


class _Replaced(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor) -> Tensor:  # noqa: ARG004
        return values

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ARG004
        return grad, None


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, lower: Tensor, upper: Tensor, in_place: bool, clips: bool
    ) -> Tensor:
        keep = clips and ctx.needs_input_grad[0]
        inside = torch.empty_like(x, dtype=torch.bfloat16) if keep else None
        out = x if in_place else torch.empty_like(x)
        _quantize(x, scale, lower, upper, out, inside)
        if in_place:
            ctx.mark_dirty(x)
        ctx.save_for_backward(inside)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (inside,) = ctx.saved_tensors
        return (grad if inside is None else _where_inside(grad, inside)), None, None, None, None, None


def _where_inside(grad: Tensor, inside: Tensor) -> Tensor:
    """The gradient, and zero where the code was clipped."""
    if not _is_dense(grad) or grad.stride() != inside.stride():
        return grad * inside
    result = torch.empty_like(grad)
    for made, mask, given in _blocks(result, inside, grad):
        made.copy_(mask).mul_(given)  # torch would convert the whole mask
    return result


def _is_dense(x: Tensor) -> bool:
    """Whether x is dense memory on the CPU, to be worked on block by block."""
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    return x.is_contiguous() or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last))


def _quantize(
    x: Tensor, scale: Tensor, lower: Tensor, upper: Tensor, out: Tensor, inside: Tensor | None
) -> None:
    """Writes x̂ and the mask of unclipped codes, block by block.

    So that memory is passed once, not five times.
    """
    if not _is_dense(x):
        _quantize_block(x, scale, lower, upper, out, inside)
    elif scale.dim():
        _quantize_rows(x, scale, lower, upper, out, inside)
    else:
        for source, target, mask in _blocks(x, out, out if inside is None else inside):
            _quantize_block(source, scale, lower, upper, target, None if inside is None else mask)


def _quantize_rows(
    x: Tensor, scale: Tensor, lower: Tensor, upper: Tensor, out: Tensor, inside: Tensor | None
) -> None:
    """As many rows a block as fit; those of the parameters with them, where each row has its own."""
    count = max(1, _BLOCK // max(math.prod(x.shape[1:]), 1))
    for start in range(0, x.shape[0], count):
        rows = slice(start, start + count)
        ours = [v[rows] if v.dim() == x.dim() and v.shape[0] > 1 else v for v in (scale, lower, upper)]
        mask = None if inside is None else inside[rows]
        _quantize_block(x[rows], ours[0], ours[1], ours[2], out[rows], mask)


def _quantize_block(
    x: Tensor, scale: Tensor, lower: Tensor, upper: Tensor, out: Tensor, inside: Tensor | None
) -> None:
    ends = _ends(lower, upper)
    if inside is None:
        torch.div(x, scale, out=out).round_().clamp_(*ends).mul_(scale)
        return
    # `out` is written first: where it is x, a core that has only read it would have to ask the others twice.
    codes = torch.div(x, scale, out=out).round_()
    clipped = torch.clamp(codes, *ends)
    inside.copy_(codes.eq_(clipped))
    torch.mul(clipped, scale, out=out)


def _ends(lower: Tensor, upper: Tensor) -> tuple[Any, Any]:
    """As numbers, if there is one each on the CPU: between tensors torch clamps without vector instructions."""
    if lower.dim() or upper.dim() or lower.device.type != "cpu" or torch.compiler.is_compiling():
        return lower, upper
    return float(lower), float(upper)


def _blocks(*tensors: Tensor) -> Iterator[list[Tensor]]:
    """Views of dense tensors of the same layout, that together pass over them once.

    Each has as many rows as there are threads, which are parts of as many spans of the whole tensor, so that a thread
    stays in its own span. Convolutions share out the samples of a batch in the same way, and what another core has
    written is slow to read.
    """
    numel, threads = tensors[0].numel(), torch.get_num_threads()
    if numel <= _BLOCK:
        threads = 1
    span, count = numel // threads, max(_BLOCK // threads, _LEAST)
    for start in range(0, span, count):
        yield [_rows(t, threads, span, start, min(count, span - start)) for t in tensors]
    if numel % threads:
        yield [_rows(t, 1, numel, span * threads, numel % threads) for t in tensors]


def _rows(x: Tensor, rows: int, stride: int, start: int, count: int) -> Tensor:
    return x.as_strided((rows, count), (stride, 1), x.storage_offset() + start)


class _LearnedScale(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        scale: Tensor,
        offset: Tensor,  # noqa: ARG004
        lower: Tensor,
        upper: Tensor,
        levels: int,
    ) -> Tensor:
        ctx.save_for_backward(x, scale, lower, upper)
        ctx.levels = levels
        out = torch.empty_like(x)
        _quantize(x, scale, lower, upper, out, None)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, lower, upper = ctx.saved_tensors
        ends = _ends(lower, upper)
        if not scale.dim() and _is_dense(x) and grad.stride() == x.stride():
            grad_x, grad_scale, grad_offset = _learned_blockwise(x, scale, *ends, grad)
        else:
            grad_x, grad_scale, grad_offset = _learned_slopes(x, scale, *ends, grad)
            grad_scale, grad_offset = (g.sum_to_size(scale.shape) for g in (grad_scale, grad_offset))
        factor = 1.0 / math.sqrt(max(x.numel() // scale.numel(), 1) * ctx.levels)
        return grad_x, grad_scale * factor, grad_offset * factor, None, None, None


def _learned_slopes(
    x: Tensor, scale: Tensor, lower: Any, upper: Any, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients for x, and for the scale and the offset before they are summed; each of x's shape."""
    exact = x / scale
    codes = torch.round(exact)
    clipped = codes.clamp(lower, upper)
    inside = codes.eq_(clipped)
    grad_x = grad * inside
    return grad_x, clipped.sub_(exact.mul_(inside)).mul_(grad), grad - grad_x


def _learned_blockwise(
    x: Tensor, scale: Tensor, lower: float, upper: float, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """As `_learned_slopes`, summed, block by block."""
    grad_x, sums = torch.empty_like(x), []
    for source, grads, target in _blocks(x, grad, grad_x):
        part, slopes, clipped = _learned_slopes(source, scale, lower, upper, grads)
        target.copy_(part)
        sums.append(torch.stack([slopes.sum(), clipped.sum()]))
    grad_scale, grad_offset = torch.stack(sums).sum(dim=0)
    return grad_x, grad_scale, grad_offset


class _LearnedRange(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        lo: Tensor,
        hi: Tensor,  # noqa: ARG004
        scale: Tensor,
        lower: Tensor,
        upper: Tensor,
    ) -> Tensor:
        codes = torch.round(x / scale)
        clipped = codes.clamp(*_ends(lower, upper))
        ctx.save_for_backward((codes - clipped).sign_().to(torch.int8))
        ctx.shape = lo.shape
        return clipped.mul_(scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (side,) = ctx.saved_tensors
        grad_lo = (grad * (side < 0)).sum_to_size(ctx.shape)
        grad_hi = (grad * (side > 0)).sum_to_size(ctx.shape)
        return grad * (side == 0), grad_lo, grad_hi, None, None, None
