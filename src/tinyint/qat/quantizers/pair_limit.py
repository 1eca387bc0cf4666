"""The limit on sums of pairs (`ranges.pair_sums`), on torch tensors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tinyint.quantization.weight_pairs import LimitedWeight

__all__ = ["PairLimiter"]


class PairLimiter(nn.Module):
    """Moves codes to the nearest within the pair limit (`pair_sums.limit_codes`).

    Of an even number of inputs, neighbours along their axis are the pairs; else their positions in the flattened weight
    are listed, in the buffers `pairs_0`, `pairs_1`, …
    """

    def __init__(self, weight: LimitedWeight) -> None:
        super().__init__()
        self.limit, self.largest = weight.bound.limit, weight.bound.largest
        self.axis = weight.pair_axis
        listed = () if self.axis is not None else weight.listed_pairs()
        self.count = len(listed)
        for i, pairs in enumerate(listed):
            self.register_buffer(f"pairs_{i}", torch.from_numpy(pairs), persistent=False)

    @torch.no_grad()
    def forward(self, exact: Tensor) -> Tensor:
        """The codes for a weight in units of its scale; whole numbers in float32."""
        exact = exact.contiguous()
        codes = exact.round().clamp_(-self.largest, self.largest)
        if self.axis is not None:
            self._settle(codes, exact, *self._over(codes))
            return codes
        flat, exact = codes.view(-1), exact.reshape(-1).clone()
        for i in range(self.count):
            pairs: Tensor = self.get_buffer(f"pairs_{i}")
            over = flat[pairs].sum(dim=1).abs_().gt_(self.limit).nonzero().squeeze(1)
            first, second = pairs[over].unbind(dim=1)
            self._settle(codes, exact, first, second)
            exact[first], exact[second] = flat[first], flat[second]
        return codes

    def _over(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Where the neighbours lie whose sums are over the limit, as positions in the flattened weight."""
        assert self.axis is not None
        length = math.prod(codes.shape[self.axis + 1 :])  # from one neighbour to the other
        first, second = codes.view(-1, 2, length).unbind(dim=1)
        over = torch.add(first, second).abs_().gt_(self.limit).view(-1).nonzero().squeeze(1)
        place = over + over.div(length, rounding_mode="floor") * length
        return place, place + length

    def _settle(self, codes: Tensor, exact: Tensor, first: Tensor, second: Tensor) -> None:
        flat, exact = codes.view(-1), exact.view(-1)
        flat[first], flat[second] = self._settled(flat[first], exact[first], exact[second])

    def _settled(self, a: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The codes of pairs over the limit: `a`, the first code, tells the sign; x and y are exact."""
        sign = a.sign()
        share = ((sign * (x - y) + self.limit) / 2).round().clamp(self.limit - self.largest, self.largest)
        return sign * share, sign * (self.limit - share)
