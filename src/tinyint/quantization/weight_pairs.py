"""Weights of an operator under the limit that its kernels' pair sums set (`ranges.pair_sums`)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from tinyint.graph.layout import is_one_to_one
from tinyint.graph.ops import layout_of
from tinyint.numbers.numerics import Array, FloatArray, QParams
from tinyint.quantization.ranges.pair_sums import PairLimit, fit_ratio, limit_codes, pair_limit
from tinyint.targets import Packing
from tinyint.targets.packing import Pairs, pairs_of

__all__ = ["LimitedWeight"]


class LimitedWeight:
    """A weight whose codes keep to a limit.

    Its filters are gathered into rows, (C, K): one for each scale, with as many filters as share it.

    * `bound`: what the rows must keep to
    * `pair_axis`: the axis of the weight along which neighbours are the pairs, whatever the packing; None if they are
      not, or there are none
    """

    def __init__(
        self,
        node: ir.Node,
        weight: FloatArray,
        params: QParams,
        packings: tuple[Packing, ...],
        largest_code: int = 255,
    ) -> None:
        self._shape, self._dtype = weight.shape, params.qtype.dtype
        layout = layout_of(node)
        places = layout.matrix(np.arange(weight.size).reshape(weight.shape))
        groups, outputs, inputs, _ = places.shape
        one_to_one = is_one_to_one(places)
        self.pair_axis = layout.input_axis(weight.ndim) if inputs % 2 == 0 and packings else None
        if params.scale.size == outputs < groups * outputs:  # the groups share the scales of their filters
            places = places.swapaxes(0, 1)
        self._places = np.ascontiguousarray(places).reshape(params.scale.size, -1)
        self._rows = np.ascontiguousarray(weight, np.float32).reshape(-1)[self._places]
        self._params = params
        limit = pair_limit(largest_code)
        if one_to_one:
            self.bound, self.pair_axis = PairLimit(pairs=(), limit=limit, largest=params.qtype.qmax), None
            return
        largest = params.qtype.qmax if packings else min(params.qtype.qmax, limit // 2)
        length = places.shape[2] * places.shape[3]
        self.bound = PairLimit(
            pairs=tuple(
                _repeated(pairs, self._rows.shape[1], length)
                for pairs in pairs_of(packings, inputs, layout.kernel_shape(weight.shape))
            ),
            limit=limit,
            largest=largest,
        )

    def listed_pairs(self) -> tuple[Pairs, ...]:
        """The pairs of the bound as positions in the flattened weight, each (P, 2)."""
        return tuple(self._places[:, pairs].reshape(-1, 2) for pairs in self.bound.pairs)

    def fitted(self) -> QParams:
        """The parameters with each scale enlarged as its codes need."""
        ratio = fit_ratio(self._rows, self._params.scale.reshape(-1), self.bound)
        return replace(self._params, scale=self._params.scale * ratio.reshape(self._params.scale.shape))

    def codes(self, params: QParams) -> Array:
        """The codes under `params`, of the weight's shape."""
        codes = np.empty(self._places.size, self._dtype)
        codes[self._places] = limit_codes(self._rows / params.scale.reshape(-1, 1), self.bound)
        return codes.reshape(self._shape)


def _repeated(pairs: Pairs, row: int, length: int) -> Pairs:
    """The pairs of a filter of that length, for each filter of a row."""
    starts = np.arange(0, row, length)
    return (pairs[None] + starts[:, None, None]).reshape(-1, 2)
