"""Quantizers of activations, as program steps from x to (x̂, s).

The scale goes on to the quantizer of the bias after it. A quantizer begins with the calibrated parameters; whatever
`qparams()` returns is what evaluation computes with, and what is exported.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from tinyint.numbers.numerics import QParams
from tinyint.numbers.scheme import Scheme
from tinyint.qat.arithmetic import read_qparams, scale_and_zero_point
from tinyint.qat.quantizers.fake_quant import fake_quantize, fake_quantize_clipped, fake_quantize_learned

__all__ = [
    "ActivationQuantizer",
    "ClippingQuantizer",
    "LearnedQuantizer",
    "ObservedQuantizer",
    "relative",
]


class ActivationQuantizer(nn.Module):
    """Quantizes with fixed parameters.

    * `scale`, `zero_point`: float32, ()
    * `frozen`: whether the parameters stay as they are, whatever their kind
    """

    scale: Tensor
    zero_point: Tensor

    def __init__(self, scheme: Scheme, params: QParams) -> None:
        super().__init__()
        self.scheme = scheme
        self.frozen = False
        self.register_buffer("scale", torch.tensor(params.scale))
        self.register_buffer("zero_point", torch.tensor(params.zero_point, dtype=torch.float32))

    def forward(self, values: list[Tensor | None], in_place: bool = False) -> tuple[Tensor, Tensor]:
        """(x̂, s) for values = [x]; x may be overwritten if `in_place`."""
        (x,) = values
        assert x is not None
        return fake_quantize(x, self.scale, *self._codes(), in_place=in_place), self.scale

    def _codes(self, zero_point: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z = self.zero_point if zero_point is None else zero_point
        return self.scheme.qtype.qmin - z, self.scheme.qtype.qmax - z

    def current(self) -> tuple[Tensor, Tensor]:
        """Scale and zero-point in effect."""
        return self.scale, self.zero_point

    @torch.no_grad()
    def freeze(self) -> None:
        """Lets the parameters in effect stay."""
        for held, value in zip((self.scale, self.zero_point), self.current(), strict=True):
            held.copy_(value)
        self.frozen = True

    def qparams(self) -> QParams:
        return read_qparams(*self.current(), self.scheme.qtype, None)


class ObservedQuantizer(ActivationQuantizer):
    """Quantizer with observed ranges, moved by `tracking.RangeTracker` between steps.

    * `seen`: (-min, max) of the values since the tracker looked, (2,); -inf: nothing
    * `cut`: the range of the clamp that this quantizer stands for, or outside which readers tell no values apart
    """

    seen: Tensor
    _cut: Tensor

    def __init__(self, scheme: Scheme, params: QParams, cut: tuple[float, float] | None = None) -> None:
        super().__init__(scheme, params)
        lo, hi = cut or (-float("inf"), float("inf"))
        self.register_buffer("seen", torch.full((2,), -float("inf")), persistent=False)
        self.register_buffer("_cut", torch.tensor([-lo, hi]), persistent=False)

    def forward(self, values: list[Tensor | None], in_place: bool = False) -> tuple[Tensor, Tensor]:
        if self.training and not self.frozen and values[0] is not None:
            with torch.no_grad():
                lo, hi = torch.aminmax(values[0])
                extrema = torch.stack([-lo, hi]).to(self.seen.dtype)
                torch.maximum(self.seen, torch.minimum(extrema, self._cut), out=self.seen)
        return super().forward(values, in_place)


SMALLEST_RATIO = 2.0**-10
"""A learned scale never falls below this share of its first value."""


def relative(ratio: Tensor, unit: Tensor, least: float = -math.inf) -> Tensor:
    """ratio · unit, at least `least` · unit.

    For a learned scale held as a multiple of its first value.

    The gradient is divided by `unit`, so that under SGD the product takes the step that it would take as a parameter
    itself, while the steps of Adam are relative to its size. It passes where `least` holds, so that the ratio may come
    back.
    """
    result: Tensor = _Relative.apply(ratio, unit, least)  # type: ignore[no-untyped-call]
    return result


class _Relative(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ratio: Tensor, unit: Tensor, least: float) -> Tensor:
        ctx.save_for_backward(unit)
        return ratio.clamp_min(least) * unit

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad / ctx.saved_tensors[0], None, None


class LearnedQuantizer(ActivationQuantizer):
    """LSQ: learned scale; LSQ+ (`with_offset`): learned zero-point too.

    The zero-point is rounded in every step as it is exported.

    * `ratio`: the scale, in units of the calibrated one; () float32
    * `offset`: where code 0 lies, in the same units: -z
    """

    unit: Tensor

    def __init__(self, scheme: Scheme, params: QParams, *, with_offset: bool) -> None:
        super().__init__(scheme, params)
        self.register_buffer("unit", self.scale.clone())
        self.ratio = nn.Parameter(torch.ones(()))
        learns = with_offset and not scheme.symmetric
        self.offset = nn.Parameter(-self.zero_point.clone()) if learns else None

    def forward(self, values: list[Tensor | None], in_place: bool = False) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        (x,) = values
        assert x is not None
        scale, zero_point = self.current()
        offset = None if self.offset is None else relative(self.offset, self.unit)
        if self.frozen:  # the parameters keep their place in the graph, as DistributedDataParallel expects
            scale = scale + 0.0 * self.ratio
            offset = None if offset is None else 0.0 * offset
        lower, upper = self._codes(zero_point.detach())
        levels = self.scheme.qtype.qmax
        return fake_quantize_learned(x, scale, offset, lower, upper, levels), scale.detach()

    def current(self) -> tuple[Tensor, Tensor]:
        if self.frozen:
            return self.scale, self.zero_point
        scale = relative(self.ratio, self.unit, SMALLEST_RATIO)
        if self.offset is None:
            return scale, self.zero_point
        qtype = self.scheme.qtype
        zero_point = torch.round(-self.offset.detach() * self.unit / scale.detach())
        return scale, zero_point.clamp(qtype.qmin, qtype.qmax)


class ClippingQuantizer(ActivationQuantizer):
    """PACT on both sides: learned ends of the range.

    An end that is zero stays zero.

    * `ends`: (-lo, hi), in units of their calibrated values; (2,) float32, or (1,) for a symmetric range
    """

    units: Tensor

    def __init__(self, scheme: Scheme, params: QParams) -> None:
        super().__init__(scheme, params)
        lo, hi = (torch.tensor(end) for end in params.range())
        self.both = scheme.symmetric and bool(lo < 0)
        self.register_buffer("units", hi[None] if self.both else torch.stack([-lo, hi]))
        self.ends = nn.Parameter(torch.ones_like(self.units))

    def forward(self, values: list[Tensor | None], in_place: bool = False) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        (x,) = values
        assert x is not None
        scale, zero_point = self.current()
        lo, hi = self._range()
        if self.frozen:
            lo, hi = 0.0 * lo, 0.0 * hi
        return fake_quantize_clipped(x, lo, hi, scale, *self._codes(zero_point)), scale

    def _range(self) -> tuple[Tensor, Tensor]:
        held = self.units > 0
        ends = relative(self.ends, torch.where(held, self.units, 1.0), SMALLEST_RATIO)
        ends = torch.where(held, ends, 0.0)
        return -ends[0], ends[-1]

    def current(self) -> tuple[Tensor, Tensor]:
        if self.frozen:
            return self.scale, self.zero_point
        with torch.no_grad():
            lo, hi = self._range()
            return scale_and_zero_point(lo, hi, qtype=self.scheme.qtype, symmetric=self.scheme.symmetric)
