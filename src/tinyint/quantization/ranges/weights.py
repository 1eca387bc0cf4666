"""Ranges of weights, which are known and need no summary."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tinyint.numbers.granularity import PerAxis, scales_of
from tinyint.numbers.granularity import rows as rows_of
from tinyint.numbers.numerics import FloatArray, fake_quantize, qparams_from_range
from tinyint.numbers.scheme import Scheme


def weight_range(
    weight: FloatArray, method: Literal["absmax", "mse"], scheme: Scheme
) -> tuple[FloatArray, FloatArray]:
    """(lo, hi), each of the shape of the scales; both hold zero.

    "mse" clips what shares a scale to the share r of its range, r in [0.3, 1], with the least error by the model
    "clipping + uniform rounding noise, s²/12 an element" (OMSE), and only where the simulated quantizer
    confirms that this is better than r = 1.
    """
    rows = rows_of(weight, scheme.granularity)
    lo, hi = rows.min(axis=1, initial=0.0), rows.max(axis=1, initial=0.0)
    if method == "mse" and rows.size:
        block = max(1, 2**17 // rows.shape[1])
        for at in range(0, len(rows), block):
            part = slice(at, at + block)
            ratio = _best_ratio(rows[part], lo[part], hi[part], scheme)
            lo[part], hi[part] = lo[part] * ratio, hi[part] * ratio
    lo, hi = (scales_of(ends, scheme.granularity, weight.shape) for ends in (lo, hi))
    return lo, hi


def _best_ratio(rows: FloatArray, lo: FloatArray, hi: FloatArray, scheme: Scheme) -> FloatArray:
    """Shape (C,) for rows of shape (C, K)."""
    if scheme.symmetric:
        hi = np.maximum(-lo, hi)
        lo = -hi
    qtype = scheme.qtype
    noise = rows.shape[1] * ((hi - lo) / (qtype.qmax - qtype.qmin)) ** 2 / 12
    best, least = np.ones_like(hi), noise.copy()
    for ratio in np.linspace(0.98, 0.3, 35, dtype=np.float32):
        excess = rows - np.clip(rows, (lo * ratio)[:, None], (hi * ratio)[:, None])
        error = np.einsum("ck,ck->c", excess, excess) + noise * ratio**2
        better = error < least
        best, least = np.where(better, ratio, best), np.where(better, error, least)

    def simulated(ratio: FloatArray) -> NDArray[Any]:
        params = qparams_from_range(
            lo * ratio, hi * ratio, qtype=qtype, symmetric=scheme.symmetric, granularity=PerAxis(0)
        )
        error = fake_quantize(rows, params) - rows
        return np.asarray(np.einsum("ck,ck->c", error, error))

    return np.where(simulated(best) < simulated(np.ones_like(hi)), best, 1.0).astype(np.float32)
