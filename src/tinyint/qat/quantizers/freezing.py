"""Freezing of oscillating weights (Nagel et al. 2022, arXiv 2203.11086).

With a straight-through gradient a weight near the tie between two codes flips to and fro for ever. Such a flip is
counted if it goes the opposite way of the last one; where the running share of such steps exceeds a threshold, the code
is held at its running mean from then on.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["OscillationFreezer"]

_MOMENTUM = 0.01


class OscillationFreezer(nn.Module):
    """Freezes oscillating codes of one constant, shaped like `like`.

    Ten bytes an element.

    * `held`: where the code is held; `fixed`: at which code
    * `frequency`: the running share of the steps in which the code flipped back
    """

    codes: Tensor
    last: Tensor
    mean: Tensor
    frequency: Tensor
    held: Tensor
    fixed: Tensor

    def __init__(self, like: Tensor, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold
        self.register_buffer("codes", torch.full_like(like, torch.nan))
        self.register_buffer("last", torch.zeros_like(like, dtype=torch.int8))
        self.register_buffer("mean", torch.zeros_like(like))
        self.register_buffer("frequency", torch.zeros_like(like))
        self.register_buffer("held", torch.zeros_like(like, dtype=torch.bool))
        self.register_buffer("fixed", torch.zeros_like(like))

    @torch.no_grad()
    def watch(self, codes: Tensor) -> None:
        """Takes in the codes of one step."""
        first = self.codes.isnan()
        move = torch.where(first, 0.0, codes - self.codes).sign().to(torch.int8)
        back = (move != 0) & (move == -self.last)
        self.frequency.lerp_(back.to(self.frequency.dtype), _MOMENTUM)
        self.mean.copy_(torch.where(first, codes, torch.lerp(self.mean, codes, _MOMENTUM)))
        self.last.copy_(torch.where(move != 0, move, self.last))
        self.codes.copy_(codes)
        new = (self.frequency > self.threshold) & ~self.held
        self.fixed.copy_(torch.where(new, self.mean.round(), self.fixed))
        self.held.logical_or_(new)

    def hold(self, quantized: Tensor, step: Tensor) -> Tensor:
        """`quantized`, with the held codes, times `step`, in their places; no gradient reaches these."""
        return torch.where(self.held, self.fixed * step.detach(), quantized)
