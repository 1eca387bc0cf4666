"""Cross-layer equalization: factors per channel that make weight ranges alike.

    W₂·f(W₁·x + b₁)  =  (W₂·S⁻¹)·f(S·W₁·x + S·b₁)        for S diagonal, positive, and f(s·x) = s·f(x)

Nagel et al. 2019, Data-Free Quantization (arXiv:1906.04721, §4.1), solves it for two layers in closed form. Here a
channel may have any number of layers before and after it, as residual connections and Concat make it, and the factors
are powers of two: then nothing is rounded, and the float model computes the same bits as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FREE", "Layer", "equalizing_factors"]

Numbers = NDArray[np.int64]
Floats = NDArray[np.float64]

FREE = -1
"""The number of a channel that keeps its scale."""

_SWEEPS = 30
_STEP = (
    0.375  # of the distance in log2; 0.5 solves a lone pair at once, but layers in a circle would oscillate
)
_TOLERANCE = 0.02
_LIMIT = 30.0
_BIAS_SHARE = 16.0
_HEALTHY = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """A linear operator, grouped or not.

    * `weight`: (groups, outputs, inputs), the largest |w| over the kernel
    * `outputs`: (groups, outputs), the channels that it makes, by number; `FREE` for one that keeps its scale
    * `inputs`: (groups, inputs), the channels that it reads
    """

    weight: NDArray[np.float32]
    outputs: Numbers
    inputs: Numbers


def equalizing_factors(layers: Sequence[Layer], biases: Floats) -> Floats:
    """Powers of two per channel, (channels,); 1 without weights on either side.

    `biases`: (channels,), the largest |b| that is added to the channel.

    Each channel goes half the way, in log2, from what its writers hold to what its readers hold. Both are taken
    relative to the other channels of the same layer, since the scale of a layer as a whole doesn't matter to
    quantization.

    Where no channel is off by more than a factor of 2, all are left alone: ranges of activations, which nothing here
    looks at, would suffer more than those of weights gain (1 to 2 dB on a healthy MobileNetV2).

    Weights that have decayed to nothing beside their bias would be blown up, and the bias with them: a row counts as no
    smaller than its bias is against 16 times the usual one.
    """
    layers = [layer for layer in layers if max(layer.inputs.max(), layer.outputs.max()) != FREE]
    log_factors, biases = np.zeros(biases.size + 1), np.append(biases, 0.0)  # the last is that of FREE
    for _ in range(_SWEEPS):
        written, read = _Mean(biases.shape), _Mean(biases.shape)
        factors = np.exp2(log_factors).astype(np.float32)
        for layer in layers:
            made, taken = factors[layer.outputs], factors[layer.inputs]
            rows = (layer.weight / taken[:, None, :]).max(axis=2, initial=0.0) * made
            columns = (layer.weight * made[:, :, None]).max(axis=1, initial=0.0) / taken
            written.add(layer.outputs, _with_bias(rows, biases[layer.outputs] * made))
            read.add(layer.inputs, columns)
        step = np.where(written.known & read.known, _STEP * (read.value() - written.value()), 0.0)
        step[FREE] = 0.0
        log_factors = np.clip(log_factors + step, -_LIMIT, _LIMIT)
        if np.abs(step).max() < _TOLERANCE:
            break
    rounded = np.rint(log_factors[:-1])
    result: Floats = np.exp2(
        rounded if np.abs(rounded).max(initial=0.0) > _HEALTHY else np.zeros(biases.size - 1)
    )
    return result


def _with_bias(rows: NDArray[np.float32], bias: Floats) -> Floats:
    """The largest weight of each row, or what its bias makes it count as."""
    both = (rows > 0) & (bias > 0)
    if not both.any():
        return rows.astype(np.float64)
    usual = np.median(bias[both] / rows[both])
    return np.maximum(rows, bias / (_BIAS_SHARE * usual))


class _Mean:
    """The mean over layers of log2 of a channel's largest weight, relative to that layer's mean."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._sum, self._count = np.zeros(shape), np.zeros(shape)

    def add(self, numbers: Numbers, magnitudes: NDArray[np.floating]) -> None:
        seen = magnitudes > 0
        if not seen.any():
            return
        level = np.log2(magnitudes[seen]).mean()
        largest = np.zeros(self._sum.shape)
        np.maximum.at(largest, numbers, magnitudes)
        hit = largest > 0
        self._sum[hit] += np.log2(largest[hit]) - level
        self._count[hit] += 1

    @property
    def known(self) -> NDArray[np.bool_]:
        return self._count > 0

    def value(self) -> Floats:
        return self._sum / np.maximum(self._count, 1)
