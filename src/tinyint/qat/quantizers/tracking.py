"""Ranges of activations that follow the data in training.

A step quantizes with the ranges that the steps before it have left; afterwards all ranges move at once. So tensors that
share a scale see the same one in every step, and processes that train together exchange their extrema in one message.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tinyint.qat.arithmetic import scale_and_zero_point
from tinyint.qat.quantizers.activations import ObservedQuantizer
from tinyint.qat.settings import QatSettings

__all__ = ["RangeTracker"]


class RangeTracker(nn.Module):
    """Moves the parameters of `quantizers` after each training step.

    * `ends`: (-lo, hi) of each range, (K, 2) float64
    * `recent`: the extrema of the last batches, (window, K, 2); `position`: the oldest of them
    """

    ends: Tensor
    floor: Tensor
    recent: Tensor
    position: Tensor

    def __init__(
        self,
        quantizers: Sequence[ObservedQuantizer],
        floors: Sequence[tuple[float, float]],
        settings: QatSettings,
    ) -> None:
        """`floors`: ranges always covered, of tensors with values of fixed range."""
        super().__init__()
        self.quantizers = tuple(quantizers)
        self.settings = settings
        ranges = [[float(end) for end in quantizer.qparams().range()] for quantizer in quantizers]
        ends = torch.tensor([[-lo, hi] for lo, hi in ranges], dtype=torch.float64).reshape(-1, 2)
        self.register_buffer("ends", ends)
        floor = torch.tensor([[-lo, hi] for lo, hi in floors], dtype=torch.float64).reshape(-1, 2)
        self.register_buffer("floor", floor, persistent=False)
        if settings.activations == "range_absmax":
            self.register_buffer("recent", ends.repeat(settings.window, 1, 1))
            self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self) -> None:
        """Updates scales and zero-points from observed values of all processes."""
        if not self.quantizers:
            return
        seen = torch.stack([quantizer.seen for quantizer in self.quantizers])
        for quantizer in self.quantizers:
            quantizer.seen.fill_(-float("inf"))
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(seen, torch.distributed.ReduceOp.MAX)
        # A batch that diverged, or a tensor that did not occur in it, leaves the range as it is.
        usable = torch.isfinite(seen).all(dim=1, keepdim=True)
        self.ends.copy_(torch.where(usable, self._moved(seen.double().clamp_min(0.0)), self.ends))
        covered = torch.maximum(self.ends, self.floor)
        for scheme in dict.fromkeys(quantizer.scheme for quantizer in self.quantizers):
            members = [i for i, quantizer in enumerate(self.quantizers) if quantizer.scheme == scheme]
            lo, hi = -covered[members, 0], covered[members, 1]
            scales, zeros = scale_and_zero_point(lo, hi, qtype=scheme.qtype, symmetric=scheme.symmetric)
            # New tensors, not new values: the gradient of a compiled step still needs those that it computed with.
            for i, scale, zero in zip(members, scales, zeros, strict=True):
                self.quantizers[i].scale, self.quantizers[i].zero_point = scale, zero

    def _moved(self, seen: Tensor) -> Tensor:
        """The new ends, given the extrema (-min, max) of this step, both at least zero."""
        kind, rate = self.settings.activations, self.settings.rate
        if kind != "moving_average":
            bound = seen.amax(dim=1, keepdim=True)
            seen = torch.where(seen > 0, bound, 0.0)
        if kind == "absmax":
            return torch.maximum(self.ends, seen)
        if kind == "range_absmax":
            row = self.position % self.settings.window
            self.recent.index_copy_(0, row[None], torch.where(torch.isfinite(seen), seen, self.ends)[None])
            self.position.add_(1)
            return self.recent.amax(dim=0)
        return rate * self.ends + (1.0 - rate) * seen
