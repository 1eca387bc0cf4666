"""Rounding of weights that makes up for its own errors: GPTQ.

    min ‖(W - Ŵ)·X‖²        for Ŵ on the grid of W's scale, and X what the weights multiply

Column by column: each is rounded to the nearest code, and the columns that are still to come take over its error, as
H = X·Xᵀ tells best (Frantar et al. 2022, arXiv:2210.17323; the same update as in Hassibi & Stork 1993, Optimal Brain
Surgeon). Columns go by the size of what they multiply, largest first.
"""

from __future__ import annotations

import numpy as np

from tinyint.numbers.numerics import Array

__all__ = ["compensated", "output_errors"]

_DAMPING = 0.01
"""Of the mean of H's diagonal, added to it: samples are few, and H may be singular."""
_LAZY = 32
"""Columns whose errors go to all later ones together, in one product."""
_CHUNK = 1 << 22
"""Weights that are worked on at once, float64."""


def compensated(weight: Array, step: Array, gram: Array, lowest: Array, highest: Array) -> Array:
    """Codes of weights, whole numbers in float64, (blocks, outputs, inputs).

    An output whose nearest codes are no worse by `gram` keeps them.

    * `weight`: (blocks, outputs, inputs); `step`: its scale, (blocks, outputs)
    * `gram`: H, (blocks, inputs, inputs)
    * `lowest`, `highest`: the code range without the zero-point, (blocks, outputs)
    """
    codes = np.empty(weight.shape)
    count = max(1, _CHUNK // max(weight[0].size, 1)) if len(weight) else 1
    for start in range(0, len(weight), count):
        part = slice(start, start + count)
        exact = weight[part].astype(np.float64) / step[part, :, None]
        ends = lowest[part], highest[part]
        nearest = np.clip(np.rint(exact), ends[0][..., None], ends[1][..., None])
        found = _in_order(exact, gram[part], *ends)
        better = output_errors(exact - found, gram[part]) < output_errors(exact - nearest, gram[part])
        codes[part] = np.where(better[..., None], found, nearest)
    return codes


def output_errors(error: Array, gram: Array) -> Array:
    """‖error · X‖² by output, (blocks, outputs), for errors (blocks, outputs, inputs)."""
    return np.asarray(np.einsum("boi,boi->bo", error @ gram, error))


def _in_order(exact: Array, gram: Array, lowest: Array, highest: Array) -> Array:
    order = np.argsort(-np.diagonal(gram, axis1=1, axis2=2), axis=1, kind="stable")
    sorted_gram = np.take_along_axis(np.take_along_axis(gram, order[:, :, None], 1), order[:, None, :], 2)
    columns = np.take_along_axis(exact, order[:, None, :], 2)
    codes = _column_by_column(columns, _inverse_root(sorted_gram), lowest, highest)
    back = np.empty_like(codes)
    np.put_along_axis(back, np.broadcast_to(order[:, None, :], codes.shape), codes, 2)
    return back


def _inverse_root(gram: Array) -> Array:
    """U, upper triangular, with UᵀU the inverse of the damped H."""
    size = gram.shape[-1]
    mean = np.trace(gram, axis1=1, axis2=2) / size
    damping = np.where(mean > 0, _DAMPING * mean, 1.0)
    inverse = np.linalg.inv(gram + damping[:, None, None] * np.eye(size))
    return np.asarray(np.linalg.cholesky((inverse + inverse.swapaxes(1, 2)) / 2).swapaxes(1, 2))


def _column_by_column(exact: Array, root: Array, lowest: Array, highest: Array) -> Array:
    codes, left = np.empty_like(exact), exact.copy()
    size = exact.shape[2]
    for start in range(0, size, _LAZY):
        stop = min(start + _LAZY, size)
        errors = np.empty((*exact.shape[:2], stop - start))
        for j in range(start, stop):
            codes[:, :, j] = np.clip(np.rint(left[:, :, j]), lowest, highest)
            error = (left[:, :, j] - codes[:, :, j]) / root[:, j, j, None]
            left[:, :, j + 1 : stop] -= error[:, :, None] * root[:, None, j, j + 1 : stop]
            errors[:, :, j - start] = error
        left[:, :, stop:] -= errors @ root[:, start:stop, stop:]
    return codes
