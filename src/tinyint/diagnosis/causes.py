"""Causes of a quantized tensor's error, from its figures.

Each cause has a measurable sign; the thresholds are below. A tensor with a good SQNR needs no explanation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from tinyint.diagnosis.pairs import Constant
from tinyint.numbers.distance import NoiseSum
from tinyint.numbers.numerics import INT32, Array, QParams, dequantize, quantize
from tinyint.numbers.observers import Histogram

__all__ = ["Cause", "TensorSums", "explain_activation", "explain_constant"]

GOOD_LOCAL_DB = 25.0
"""A normal distribution within ±4σ has 38 dB in 8 bits, and 26 dB in two bits less."""
GOOD_CUMULATIVE_DB = 20.0
"""At this, the amplitude of the noise is a tenth of the signal's."""
_BAD_CHANNEL_DB = 15.0
_CLIPPED = 0.001
_PILED_UP = 0.01
_UNUSED = 4.0
"""Range, as a multiple of what 99.9 % of the elements need, above which most codes count as unused."""
_FAR_OUT = 16.0
"""The same for a good SQNR: an outlier may hold all the energy of a tensor whose other values are lost."""
_SUBSAMPLE = 1 << 16
_BIAS_LIMIT = 0.99 * INT32.qmax


class Cause(StrEnum):
    """Cause of a tensor's error."""

    OUTLIER = "outlier"  # few large elements stretch the range, so that most codes are unused
    WIDE = "wide range"  # the range is far wider than the values on these samples: most codes are unused
    RANGE = "range"  # elements beyond the range are clipped: many, or few with most of the error
    SATURATION = "saturation"  # codes pile up at ends that the float tensor does not reach
    DEAD = "dead channel"  # constant, or a channel of zeros
    BIAS_OVERFLOW = "bias overflow"  # the bias needs more than 32 bits, so the weights got a coarser scale
    ACCUMULATED = "accumulated"  # good on its own, but its inputs have errors
    RESOLUTION = "resolution"  # eight bits are too few for the distribution of its values
    FINE = "fine"


@dataclass(kw_only=True)
class TensorSums:
    """Sums of one tensor over all samples.

    * `params`: None for a tensor without a quantizer, whose float values are compared
    * `live`: range outside which readers tell no values apart, so that they count as its ends
    * `unlike`: number of samples with another shape in the int8 model; the other sums leave them out
    """

    params: QParams | None
    live: tuple[float, float] | None = None
    unlike: int = 0
    local: NoiseSum = field(default_factory=NoiseSum)
    cumulative: NoiseSum = field(default_factory=NoiseSum)
    magnitudes: Histogram = field(default_factory=Histogram)
    elements: int = 0
    clipped: int = 0
    clipping_noise: float = 0.0
    at_ends: int = 0  # elements of the quantized float tensor with the lowest or highest code
    at_ends_int8: int = 0
    lo: float = np.inf
    hi: float = -np.inf

    def add(self, expected: Array, found: Array) -> None:
        """Adds one sample: `expected` of the float model, `found` of the int8 model.

        `found` holds codes, or floats if the tensor has no quantizer.
        """
        if not expected.size:
            return
        self.elements += expected.size
        self.lo, self.hi = min(self.lo, float(expected.min())), max(self.hi, float(expected.max()))
        if self.params is None:
            self.cumulative.add(expected, found)
            return
        codes = quantize(expected, self.params)
        expected, local, cumulative = map(
            self._as_read, (expected, dequantize(codes, self.params), dequantize(found, self.params))
        )
        self.local.add(expected, local)
        self.cumulative.add(expected, cumulative)
        clipped, noise = _beyond(expected, self.params)
        self.clipped += clipped
        self.clipping_noise += noise
        self.at_ends += _at_ends(codes, self.params)
        self.at_ends_int8 += _at_ends(found, self.params)
        flat = expected.reshape(-1)
        subsample = np.abs(flat[:: max(1, flat.size // _SUBSAMPLE) | 1])
        self.magnitudes.update(subsample[np.isfinite(subsample)])

    def _as_read(self, values: Array) -> Array:
        return values if self.live is None else np.clip(values, *self.live)


def explain_activation(sums: TensorSums) -> tuple[Cause, str]:
    """Cause of an activation's error, and the figures that show it."""
    cumulative = sums.cumulative.sqnr_db
    if sums.lo == sums.hi:
        return Cause.DEAD, f"constant {sums.lo:g} on all samples"
    if sums.params is None:
        if cumulative < GOOD_CUMULATIVE_DB:
            return Cause.ACCUMULATED, "no quantizer of its own; what comes in is off"
        return Cause.FINE, ""
    stretched = _explain_stretch(sums, sums.params, _FAR_OUT)
    if sums.local.sqnr_db < GOOD_LOCAL_DB or stretched:
        return stretched or _explain_local(sums, sums.params)
    piled_up = (sums.at_ends_int8 - sums.at_ends) / sums.elements
    if cumulative < GOOD_CUMULATIVE_DB and piled_up > _PILED_UP:
        share = sums.at_ends_int8 / sums.elements
        return (
            Cause.SATURATION,
            f"{share:.1%} of the codes stand at the ends, {piled_up:.1%} more than in float",
        )
    if cumulative < GOOD_CUMULATIVE_DB:
        return (
            Cause.ACCUMULATED,
            f"{sums.local.sqnr_db:.1f} dB on its own, {cumulative:.1f} dB with what comes in",
        )
    return Cause.FINE, ""


def _explain_local(sums: TensorSums, params: QParams) -> tuple[Cause, str]:
    lo, hi = params.range()
    share = sums.clipped / sums.elements
    if share > _CLIPPED or sums.clipping_noise > sums.local.noise / 2:
        text = f"{share:.2%} of the values lie beyond the range [{lo.min():.3g}, {hi.max():.3g}]; they reach "
        return Cause.RANGE, text + f"[{sums.lo:.3g}, {sums.hi:.3g}]"
    stretched = _explain_stretch(sums, params, _UNUSED)
    if stretched is not None:
        return stretched
    step = float(params.scale.max())
    median = _quantile(sums.magnitudes, 0.5) / step
    return Cause.RESOLUTION, f"half of the values are smaller than {median:.2g} steps of {step:.3g}"


def _explain_stretch(sums: TensorSums, params: QParams, ratio: float) -> tuple[Cause, str] | None:
    """Cause of a range over `ratio` times what 99.9 % of the values need; else None."""
    lo, hi = params.range()
    bound = max(float(np.abs(lo).max()), float(np.abs(hi).max()))
    largest, bulk = max(abs(sums.lo), abs(sums.hi)), _quantile(sums.magnitudes, 0.999)
    if bound <= ratio * bulk:
        return None
    if bound > ratio * largest:
        return Cause.WIDE, f"the range reaches {bound:.3g}, the values only {largest:.3g}"
    return Cause.OUTLIER, f"99.9 % of the values stay within ±{bulk:.3g}, the largest is {largest:.3g}"


def explain_constant(constant: Constant, bias: Constant | None) -> tuple[float, Cause, str]:
    """SQNR in dB, cause and figures of a constant.

    `bias`: quantized bias of the same node, if there is one.
    """
    rounded = constant.dequantized
    total = NoiseSum()
    total.add(constant.values, rounded)
    overflow = _overflow_channels(constant if constant.kind == "bias" else bias)
    if overflow.size:
        listed = ", ".join(str(c) for c in overflow[:4]) + (", …" if overflow.size > 4 else "")
        return total.sqnr_db, Cause.BIAS_OVERFLOW, f"the bias uses all 32 bits in channel {listed}"
    if constant.kind == "bias":  # its steps are those of the accumulator, finer than all that follow
        return total.sqnr_db, Cause.FINE, ""
    channels = _channel_db(constant, rounded)
    dead = np.flatnonzero(_energy(constant.values, constant.axis) == 0)
    worst = int(channels.argmin()) if channels.size else 0
    if total.sqnr_db < GOOD_LOCAL_DB or (channels.size and channels[worst] < _BAD_CHANNEL_DB):
        cause, detail = _explain_weight(constant, worst)
        of_channel = f"channel {worst} has {channels[worst]:.1f} dB; " if channels.size > 1 else ""
        return total.sqnr_db, cause, of_channel + detail
    if dead.size:
        which = f"{dead.size} of {channels.size} channels are zero ({dead[0]} the first)"
        return total.sqnr_db, Cause.DEAD, which
    return total.sqnr_db, Cause.FINE, ""


def _explain_weight(constant: Constant, worst: int) -> tuple[Cause, str]:
    """Cause of a weight's error, from its worst channel, and the figures that show it."""
    values, params = constant.values, constant.params
    clipped = _beyond(values, params)[0] / values.size
    if clipped > _CLIPPED:
        return Cause.RANGE, f"{clipped:.1%} of the values are clipped"
    if constant.axis is not None:
        values = np.take(values, worst, axis=constant.axis)
    lo, hi = (side if side.ndim == 0 else side[worst] for side in params.range())
    bound, largest = float(max(-lo, hi)), float(np.abs(values).max(initial=0.0))
    bulk = float(np.quantile(np.abs(values), 0.999, method="lower")) if values.size else 0.0
    if bound > _UNUSED * largest:
        return Cause.WIDE, f"the range reaches {bound:.3g}, its values only {largest:.3g}"
    if bound > _UNUSED * bulk:
        return Cause.OUTLIER, f"99.9 % of its values stay within ±{bulk:.3g}, the largest is {largest:.3g}"
    return Cause.RESOLUTION, "its values are spread too far for the steps"


def _overflow_channels(bias: Constant | None) -> NDArray[np.intp]:
    """Channels whose bias fills 32 bits: there s_w was raised, or the bias was clipped."""
    if bias is None or bias.codes.dtype != INT32.dtype:
        return np.zeros(0, np.intp)
    return np.flatnonzero(np.abs(bias.codes.astype(np.int64)) > _BIAS_LIMIT)


def _channel_db(constant: Constant, rounded: Array) -> NDArray[np.float64]:
    """SQNR of each channel; inf for one without noise."""
    signal = _energy(constant.values, constant.axis)
    noise = _energy(constant.values.astype(np.float64) - rounded, constant.axis)
    ratio = np.divide(signal, noise, out=np.full_like(signal, np.inf), where=noise > 0)
    with np.errstate(divide="ignore"):
        return np.asarray(10.0 * np.log10(ratio), np.float64)


def _energy(values: Array, axis: int | None) -> NDArray[np.float64]:
    """Σ x² of each channel, (C,); (1,) without channels."""
    squares = np.square(values.astype(np.float64))
    if axis is None or values.ndim == 0:
        return np.array([squares.sum()], np.float64)
    others = tuple(i for i in range(values.ndim) if i != axis % values.ndim)
    return np.asarray(squares.sum(axis=others), np.float64)


def _beyond(values: Array, params: QParams) -> tuple[int, float]:
    """Count of elements over half a step out of range, and Σ of squared distances."""
    (lo, hi), half = params.range(), params.scale / 2
    if params.axis is not None:
        shape = [1] * values.ndim
        shape[params.axis] = -1
        lo, hi, half = lo.reshape(shape), hi.reshape(shape), half.reshape(shape)
    excess = np.maximum(lo - values, values - hi)
    far = excess[excess > half].astype(np.float64)
    return far.size, float(np.square(far).sum())


def _at_ends(codes: Array, params: QParams) -> int:
    return int(np.count_nonzero((codes == params.qtype.qmin) | (codes == params.qtype.qmax)))


def _quantile(histogram: Histogram, share: float) -> float:
    """Upper edge of the quantile's bin; 0 for an empty histogram."""
    edges, counts = histogram.trimmed()
    if not counts.size:
        return 0.0
    return float(edges[1 + int(np.searchsorted(counts.cumsum(), share * counts.sum()))])
