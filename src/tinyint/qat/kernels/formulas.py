"""Bit-exact arithmetic of the runtimes' int8 kernels: one formula per `targets.Kernel`.

A code q is held as k = q - z in float32, which is exact. Below, s is a scale, z a zero-point, Σ an exact sum over
products of codes; `fma` rounds once where a product and a sum in float32 would round twice; all else rounds to float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
import torch
from torch import Tensor

from tinyint.numbers.numerics import QType
from tinyint.targets import Kernel

__all__ = ["ELEMENTWISE", "MEANS", "PRODUCTS", "ROUNDINGS", "Grid", "Mean", "Product", "onto_product"]


@dataclass(frozen=True, eq=False)
class Grid:
    """Scale and range of a tensor's codes.

    * `scale`, `zero_point`: float32, ()
    * `lowest`, `highest`: the codes at which the runtime saturates, which are those of the stored type
    """

    scale: Tensor
    zero_point: Tensor
    lowest: int
    highest: int

    @classmethod
    def of(cls, scale: Tensor, zero_point: Tensor, qtype: QType) -> Self:
        limits = np.iinfo(qtype.dtype)
        return cls(scale, zero_point, int(limits.min), int(limits.max))

    def round(self, k: Tensor) -> Tensor:
        """Rounds k to whole numbers, ties to even, within the stored type.

        k is overwritten.
        """
        return k.round_().clamp_(self.lowest - self.zero_point, self.highest - self.zero_point)

    def round_codes(self, q: Tensor) -> Tensor:
        """k of unrounded q: as `round`, but a tie goes to the even code.

        q is overwritten.
        """
        return q.round_().clamp_(self.lowest, self.highest).sub_(self.zero_point)


@dataclass(frozen=True)
class Product:
    """Product of codes.

    The first three arguments: Σ k_x·k_w, float32 or float64; the codes of the bias, float64, or None, and s_x·s_w,
    which broadcast to it.

    * `real`: → y, where nothing quantizes it
    * `coded`: and the grid of y → k_y
    """

    real: Callable[[Tensor, Tensor | None, Tensor], Tensor]
    coded: Callable[[Tensor, Tensor | None, Tensor, Grid], Tensor]


Elementwise: TypeAlias = Callable[[Sequence[Tensor], Sequence[Grid], Grid], Tensor]
"""(the k of each operand, their grids, the grid of y) → k_y."""

Mean: TypeAlias = Callable[[Tensor, int, Grid, Grid], Tensor]
"""(the mean of k_x in float64, over how many, the grid of x, the grid of y) → k_y."""

Rounding: TypeAlias = Callable[[Tensor, Grid], Tensor]
"""(y in float32, its grid) → k_y."""


def _fma(x: Tensor, factor: Tensor, addend: Tensor) -> Tensor:
    """x · factor + addend, rounded once (but in one case of 2²⁹, which float64 rounds to a tie)."""
    return torch.mul(x.double(), factor.double()).add(addend.double()).float()


def _multiplied(total: Tensor, bias: Tensor | None, step: Tensor, out: Grid) -> Tensor:
    """k_y = round((Σ + k_b) · (s_x·s_w / s_y)), the sum in int32."""
    return out.round(_scaled(total, bias, step / out.scale))


def _scaled(total: Tensor, bias: Tensor | None, step: Tensor) -> Tensor:
    """y = (Σ + k_b) · s."""
    if bias is None:
        return total.float() * step
    # Both are whole: in float32 the sum rounds as an int32 that becomes a float does, in float64 it is exact.
    return (total + bias.to(total.dtype)).float() * step


def _dequantized(total: Tensor, bias: Tensor | None, step: Tensor) -> Tensor:
    """y = Σ·s + k_b·s."""
    y = total.float() * step
    return y if bias is None else y + bias.float() * step


def _rescaled(total: Tensor, bias: Tensor | None, step: Tensor, out: Grid) -> Tensor:
    """q_y = round(fma(Σ·s + k_b·s, c, d)) with s = s_x·s_w, and (c, d) from the range of y.

    Without a bias q_y = round(Σ·c + d), with (c, d) from the range in units of s; channels share the first one's d.
    """
    y, factor, shift = _unmapped(total, bias, step, out)
    return out.round_codes(y * factor + shift if factor.numel() > 1 else _fma(y, *_stored(factor, shift)))


def _unmapped(total: Tensor, bias: Tensor | None, step: Tensor, out: Grid) -> tuple[Tensor, Tensor, Tensor]:
    """What `_rescaled` maps to codes, with c and d."""
    if bias is not None:
        return _dequantized(total, bias, step), *_through(out, torch.ones_like(out.scale))
    factor, shift = _through(out, step)
    return total.float(), factor, shift.flatten()[0]


def _ranged(y: Tensor, out: Grid) -> Tensor:
    """q_y = round(fma(y, c, d)), with (c, d) from the range of y."""
    return out.round_codes(_fma(y, *_through(out, torch.ones_like(out.scale))))


def _through(out: Grid, unit: Tensor) -> tuple[Tensor, Tensor]:
    """(c, d) of q = y · c + d, from the range's ends.

    For y in units of `unit`.
    """
    lo, hi = ((code - out.zero_point) * out.scale / unit for code in (out.lowest, out.highest))
    levels = torch.full_like(lo, out.highest - out.lowest)
    return levels / (hi - lo), -lo * levels / (hi - lo) + out.lowest


def _stored(factor: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """(c, d) of a kernel's last step, as stored by the runtime.

    It keeps 1 / c where d is 0, and takes the inverse of that.
    """
    return torch.where(shift == 0, 1.0 / (1.0 / factor), factor), shift


def _shifted(y: Tensor, out: Grid) -> Tensor:
    """q_y = round(y / s_y + z_y)."""
    return out.round_codes(y / out.scale + out.zero_point)


def _affine_sum(codes: Sequence[Tensor], grids: Sequence[Grid], out: Grid) -> Tensor:
    """q_y = round(fma(q_a, r_a, fma(q_b, r_b, z_y - fma(r_a, z_a, r_b·z_b)))) with r = s / s_y."""
    (a, b), (grid_a, grid_b) = codes, grids
    ratio_a, ratio_b = grid_a.scale / out.scale, grid_b.scale / out.scale
    fixed = out.zero_point - _fma(ratio_a, grid_a.zero_point, ratio_b * grid_b.zero_point)
    inner = _fma(b + grid_b.zero_point, ratio_b, fixed)
    return out.round_codes(_fma(a + grid_a.zero_point, ratio_a, inner))


def _fixed_point_sum(codes: Sequence[Tensor], grids: Sequence[Grid], out: Grid) -> Tensor:
    """k_y = round((k_a·m_a + k_b·m_b) / 2ⁿ), ties away from zero, with m = round(2ⁿ · s / s_y).

    n leaves the larger m its 22 bits. Where it or a scale is beyond the kernel, q_y = round((s_a·k_a + s_b·k_b) / s_y +
    z_y), ties to even.
    """
    (a, b), (grid_a, grid_b) = codes, grids
    ratios = torch.stack([grid_a.scale / out.scale, grid_b.scale / out.scale])
    shift = 22 - torch.frexp(ratios.amax(0)).exponent
    factor_a, factor_b = torch.round(torch.ldexp(ratios, shift))
    total = torch.ldexp(a.double() * factor_a + b.double() * factor_b, -shift)
    rounded = torch.copysign(torch.floor(total.abs() + 0.5), total).float()
    rounded.clamp_(out.lowest - out.zero_point, out.highest - out.zero_point)
    fits = (ratios >= 2.0**-14).all(0) & (ratios < 2.0**8).all(0) & (shift <= 31)
    fits &= torch.maximum(factor_a, factor_b) < 2**22
    real = (grid_a.scale * a + grid_b.scale * b) / out.scale
    return torch.where(fits, rounded, out.round_codes(real + out.zero_point))


def onto_product(
    product: tuple[Tensor, Tensor | None, Tensor], made: Grid, codes: Tensor, x: Grid, out: Grid
) -> Tensor:
    """`Kernel.ONTO_PRODUCT`: q_y = round(fma(p + q_x, c, d)).

    With (c, d) from the range of y in units of s_x.

    p is what a product of grid `made` gives in units of s_x: mapped to codes and from there to these units at once, so
    that it is cut where the codes end, but not rounded. The zero-point of x goes into this map, of which a shift below
    1e-5 of its range is left out.
    """
    y, factor, shift = _unmapped(*product, made)
    ratio = made.scale / x.scale
    zero = made.zero_point + x.zero_point * x.scale / made.scale
    low, high = (made.lowest - zero) * ratio, (made.highest - zero) * ratio
    levels = torch.full_like(low, made.highest - made.lowest)
    slope = (high - low) / levels
    offset = (shift - made.lowest) * slope + low
    offset = torch.where(offset.abs() < levels * slope * 1e-5, 0.0, offset)
    part = _fma(y, factor * slope, offset).clamp_(low, levels * slope + low)
    return out.round_codes(_fma(part + (codes + x.zero_point), *_stored(*_through(out, x.scale))))


def _scaled_product(codes: Sequence[Tensor], grids: Sequence[Grid], out: Grid) -> Tensor:
    """q_y = round(k_a·k_b · (s_a·s_b / s_y) + z_y)."""
    (a, b), (grid_a, grid_b) = codes, grids
    return out.round_codes(a * b * (grid_a.scale * grid_b.scale / out.scale) + out.zero_point)


def _scaled_mean(mean: Tensor, count: int, x: Grid, out: Grid) -> Tensor:
    """k_y = round(Σ k_x · (s_x / (s_y · count)))."""
    return out.round(torch.round(mean * count).float() * (x.scale / (out.scale * count)))


def _ranged_mean(mean: Tensor, count: int, x: Grid, out: Grid) -> Tensor:
    """q_y = round(fma(Σ k_x · (1 / count), c, d)), with (c, d) from the range of y in units of s_x."""
    share = torch.ones_like(x.scale) / count
    return out.round_codes(_fma(torch.round(mean * count).float() * share, *_stored(*_through(out, x.scale))))


PRODUCTS: dict[Kernel, Product] = {
    Kernel.MULTIPLIED: Product(_scaled, _multiplied),
    Kernel.RESCALED: Product(_dequantized, _rescaled),
}
ELEMENTWISE: dict[Kernel, Elementwise] = {
    Kernel.AFFINE_SUM: _affine_sum,
    Kernel.FIXED_POINT_SUM: _fixed_point_sum,
    Kernel.SCALED_PRODUCT: _scaled_product,
}
MEANS: dict[Kernel, Mean] = {Kernel.SCALED_MEAN: _scaled_mean, Kernel.RANGED_MEAN: _ranged_mean}
ROUNDINGS: dict[Kernel, Rounding] = {Kernel.SHIFTED: _shifted, Kernel.RANGED: _ranged}
