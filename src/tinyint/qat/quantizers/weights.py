"""Quantizers of constants: weights with their biases, and operands of Add and Mul."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from tinyint.numbers.numerics import INT32, Array, QParams
from tinyint.numbers.scheme import Scheme
from tinyint.qat.arithmetic import along, bias_scale, fit_bias, read_qparams, scale_and_zero_point
from tinyint.qat.quantizers.activations import SMALLEST_RATIO, relative
from tinyint.qat.quantizers.fake_quant import fake_quantize, fake_quantize_learned, replaced
from tinyint.qat.quantizers.freezing import OscillationFreezer
from tinyint.qat.quantizers.pair_limit import PairLimiter

__all__ = ["WeightQuantizer"]


class WeightQuantizer(nn.Module):
    """Quantizes a constant by a following or learned (LSQ) scale, and its bias.

    A step of the program: [w] → (ŵ,), or [w, bias, s_x] → (ŵ, bias rounded to multiples of s_x · s_w).

    * `share`: of the weights' range that is covered, () or (C,); below 1 where the recipe clips them, above where
      pairs are limited
    * `ratio`: the learned scale, in units of the first one, which is `unit`
    * `freezer`: holds the codes that oscillate, if that is asked for
    * `limiter`: keeps the sums of pairs to what the target can add
    """

    share: Tensor
    unit: Tensor
    scale: Tensor

    def __init__(self, scheme: Scheme, params: QParams, share: Tensor, *, learned: bool) -> None:
        super().__init__()
        self.freezer: OscillationFreezer | None = None
        self.limiter: PairLimiter | None = None
        self.scheme = scheme
        self.frozen = False
        self.clips = learned or bool((share < 1.0 - 1e-6).any())  # as 1 may come out of a division
        self.register_buffer("share", share)
        self.ratio: nn.Parameter | None = None
        if learned:
            self.register_buffer("unit", torch.tensor(params.scale))
            self.register_buffer("scale", torch.tensor(params.scale))
            self.ratio = nn.Parameter(torch.ones_like(self.unit))

    def forward(self, values: list[Tensor | None]) -> tuple[Tensor, ...]:
        weight, *rest = values
        assert weight is not None
        bias, input_scale = rest if rest else (None, None)
        scale, zero_point = self.current(weight, bias, input_scale)
        limited = self.limiter is not None and self.freezer is None and not self.clips
        quantized = weight.float() if limited else self._quantize(weight, scale, zero_point)
        step = along(scale.detach(), self.scheme.axis, weight.dim())
        if self.freezer is not None:
            if self.training and not self.frozen:
                self.freezer.watch(torch.round(quantized.detach() / step))
            quantized = self.freezer.hold(quantized, step)
        if self.limiter is not None:
            quantized = self._limited(quantized, weight, step)
        if bias is None or input_scale is None:
            return (quantized,)
        fine = bias_scale(input_scale, scale.detach())
        codes = torch.tensor(float(INT32.qmin)), torch.tensor(float(INT32.qmax))
        return quantized, fake_quantize(bias, fine, *codes, clips=False)

    def _quantize(self, weight: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
        qtype, axis = self.scheme.qtype, self.scheme.axis
        lower, upper = self._codes(zero_point, weight.dim())
        step = along(scale, axis, weight.dim())
        if self.ratio is None:
            return fake_quantize(weight, step, lower, upper, clips=self.clips)
        if self.frozen:  # the parameter keeps its place in the graph, as DistributedDataParallel expects
            step = step + 0.0 * along(self.ratio, axis, weight.dim())
        return fake_quantize_learned(weight, step, None, lower, upper, qtype.qmax)

    def _codes(self, zero_point: Tensor, dims: int) -> tuple[Tensor, Tensor]:
        """qmin - z and qmax - z; one number each where z is 0 in all channels."""
        qtype, axis = self.scheme.qtype, self.scheme.axis
        if self.scheme.symmetric and qtype.signed:
            zero_point, axis = zero_point.new_zeros(()), None
        return along(qtype.qmin - zero_point, axis, dims), along(qtype.qmax - zero_point, axis, dims)

    @torch.no_grad()
    def codes(self, weight: Tensor, params: QParams) -> Array | None:
        """The codes as exported under `params`; None where they are the nearest ones."""
        if self.freezer is None and self.limiter is None:
            return None
        step = along(torch.tensor(params.scale), self.scheme.axis, weight.dim())
        exact = weight / step if self.freezer is None else self.freezer.hold(weight, step) / step
        if self.limiter is not None:
            exact = self.limiter(exact, torch.ones(()))
        zero_point = along(torch.tensor(params.zero_point.astype(np.float32)), self.scheme.axis, weight.dim())
        codes = (exact.round() + zero_point).clamp(self.scheme.qtype.qmin, self.scheme.qtype.qmax)
        return codes.numpy().astype(self.scheme.qtype.dtype)

    def _limited(self, quantized: Tensor, weight: Tensor, step: Tensor) -> Tensor:
        assert self.limiter is not None
        if self.freezer is None:
            return replaced(quantized, self.limiter(weight.detach().float(), step))
        exact = torch.where(self.freezer.held, self.freezer.fixed, weight.detach() / step)
        return replaced(quantized, self.limiter(exact, torch.ones(())).mul_(step))

    def current(
        self, weight: Tensor, bias: Tensor | None = None, input_scale: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Scale (as the bias allows) and zero-point in effect."""
        dead = None
        if self.ratio is None:
            lo, hi = self._ends(weight.detach())
            qtype, symmetric = self.scheme.qtype, self.scheme.symmetric
            scale, zero_point = scale_and_zero_point(lo, hi, qtype=qtype, symmetric=symmetric)
            dead = (lo == 0) & (hi == 0)
        elif self.frozen:
            scale, zero_point = self.scale, torch.zeros_like(self.scale)
        else:
            scale = relative(self.ratio, self.unit, SMALLEST_RATIO)
            zero_point = torch.zeros_like(self.unit)
        if bias is not None and input_scale is not None:
            scale = fit_bias(bias.detach(), input_scale, scale, dead)
        return scale, zero_point

    def _ends(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Of the range that is covered, () or (C,)."""
        axis = self.scheme.axis
        others = [i for i in range(weight.dim()) if axis is None or i != axis % weight.dim()]
        lo, hi = (weight, weight) if not others else (weight.amin(others), weight.amax(others))
        return lo.double() * self.share, hi.double() * self.share

    @torch.no_grad()
    def freeze(self) -> None:
        """Freezes a learned scale.

        One that follows the weights goes on to do so, or it would clip them.
        """
        if self.ratio is not None:
            self.scale.copy_(relative(self.ratio, self.unit, SMALLEST_RATIO))
        self.frozen = True

    @torch.no_grad()
    def qparams(
        self, weight: Tensor, bias: Tensor | None = None, input_scale: Tensor | None = None
    ) -> QParams:
        """The parameters of the constant as exported."""
        return read_qparams(*self.current(weight, bias, input_scale), self.scheme.qtype, self.scheme.axis)
