"""The limit on sums of pairs (`ranges.pair_sums`), on torch tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tinyint.quantization.weight_pairs import LimitedWeight

__all__ = ["PairLimiter"]

_BLOCK = 1 << 19  # elements: with their scratch they stay in the caches


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
    def forward(self, weight: Tensor, step: Tensor) -> Tensor:
        """Weight rounded to codes within the limit, times their scale `step`.

        In float32; `step` broadcasts to the weight.
        """
        weight = weight.contiguous()
        out = torch.empty_like(weight)
        for rows in self._blocks(weight):
            ours = step[rows] if step.dim() == weight.dim() and step.shape[0] > 1 else step
            codes = torch.div(weight[rows], ours, out=out[rows]).round_().clamp_(-self.largest, self.largest)
            if self.axis is None:
                self._limit_listed(codes, weight[rows] / ours)
            else:
                self._limit_neighbours(codes, weight[rows], ours)
            codes.mul_(ours)
        return out

    def _blocks(self, weight: Tensor) -> Iterator[slice]:
        """Rows that stay in the caches while memory is passed once, and that cut no pair."""
        if self.axis is None or torch.compiler.is_compiling():
            yield slice(None)
            return
        count = max(2, _BLOCK // max(math.prod(weight.shape[1:]), 1) // 2 * 2)
        for start in range(0, weight.shape[0], count):
            yield slice(start, start + count)

    def _limit_listed(self, codes: Tensor, exact: Tensor) -> None:
        flat, exact = codes.view(-1), exact.view(-1)
        for i in range(self.count):
            pairs: Tensor = self.get_buffer(f"pairs_{i}")
            over = flat[pairs].sum(dim=1).abs_().gt_(self.limit).nonzero().squeeze(1)
            first, second = pairs[over].unbind(dim=1)
            flat[first], flat[second] = self._settled(flat[first], exact[first], exact[second])
            exact[first], exact[second] = flat[first], flat[second]

    def _limit_neighbours(self, codes: Tensor, weight: Tensor, step: Tensor) -> None:
        first, second = self._over(codes)
        flat = codes.view(-1)
        x, y = (_quotient(weight, step, place) for place in (first, second))
        flat[first], flat[second] = self._settled(flat[first], x, y)

    def _over(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Where the neighbours lie whose sums are over the limit, as positions in the flattened weight."""
        assert self.axis is not None
        length = math.prod(codes.shape[self.axis + 1 :])  # from one neighbour to the other
        first, second = codes.view(-1, 2, length).unbind(dim=1)
        over = torch.add(first, second).abs_().gt_(self.limit).view(-1).nonzero().squeeze(1)
        place = over + over.div(length, rounding_mode="floor") * length
        return place, place + length

    def _settled(self, a: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The codes of pairs over the limit: `a`, the first code, tells the sign; x and y are exact."""
        sign = a.sign()
        share = ((sign * (x - y) + self.limit) / 2).round().clamp(self.limit - self.largest, self.largest)
        return sign * share, sign * (self.limit - share)


def _quotient(weight: Tensor, step: Tensor, place: Tensor) -> Tensor:
    """weight / step at positions of the flattened weight alone, which are few."""
    where = torch.unravel_index(place, weight.shape)
    return weight[where] / step.expand_as(weight)[where]
