"""Number formats and the arithmetic of quantization, defined here alone.

The convention, with x real, q the stored integer, s the scale and z the zero-point:

    q = clip(round_half_even(x / s) + z, qmin, qmax)        x̂ = (q - z) · s

* s is float32, finite and > 0. A range of width zero (a dead tensor or channel) gets s = 1.
* The range [lo, hi] is widened to include 0, so that 0 is represented exactly (padding, ReLU).
* asymmetric: s = (hi - lo) / (qmax - qmin), z = round_half_even(qmin - lo / s).
* symmetric signed: s = max(|lo|, |hi|) / qmax, z = 0. Weights use [-qmax, qmax]; activations all codes, since
  QuantizeLinear does not clip to a narrower range.
* symmetric unsigned: z = 0 if lo >= 0, so that no code is lost; else z = (qmax + 1) / 2.
* s and z have the shape of their granularity: (), (C,) along an axis, or one number per block of an axis.
* bias: int32 with s_b = s_x · s_w, z = 0. A channel whose bias would overflow gets a larger s_w, and a dead channel the
  s_w that suits its bias.

x / s is computed in float32, as QuantizeLinear does (ONNX operator specification, opset 21), so that the simulation
equals the runtime, ties included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes  # noqa: F401  NumPy's int4
import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinyint.numbers.granularity import PER_TENSOR, Granularity, axis_of, has_shape, per_axis, spread

Array = NDArray[Any]
FloatArray = NDArray[np.float32]

# Below the smallest normal float32, a quotient x / s overflows or loses all its digits.
SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
# A bias of 2³¹ - 1 exactly is not representable in float32; ORT's own margin is 1.0001.
BIAS_LIMIT = 2.0**31 / 1.0001
BIAS_STEPS = 2.0**24
"""Steps of a dead channel's bias: as many as float32, in which kernels multiply it, can tell apart."""
UNSEEN_STEPS = 2.0**16
"""Steps of the largest bias if the input was zero in calibration: fewer, so that there is range for other inputs."""


@dataclass(frozen=True, kw_only=True)
class QType:
    """Integer format: storage type, and the range of codes in use."""

    storage: str  # NumPy name of the stored type
    qmin: int
    qmax: int

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.storage)

    @property
    def bits(self) -> int:
        """Bits of the codes in use (7 for [-63, 63], although stored in 8)."""
        return (self.qmax - self.qmin).bit_length()

    @property
    def signed(self) -> bool:
        return self.qmin < 0

    def narrow(self) -> QType:
        """Format without its lowest code, so that it is symmetric about zero."""
        return QType(storage=self.storage, qmin=-self.qmax, qmax=self.qmax) if self.signed else self


UINT8 = QType(storage="uint8", qmin=0, qmax=255)
INT8 = QType(storage="int8", qmin=-128, qmax=127)
INT7 = QType(storage="int8", qmin=-64, qmax=63)
INT4 = QType(storage="int4", qmin=-8, qmax=7)
INT16 = QType(storage="int16", qmin=-32768, qmax=32767)
INT32 = QType(storage="int32", qmin=-(2**31), qmax=2**31 - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class QParams:
    """Quantization parameters of one tensor.

    * `scale`: float32, finite, > 0, of a shape that fits `granularity`
    * `zero_point`: of the storage type of `qtype`, and the shape of `scale`
    """

    scale: FloatArray
    zero_point: Array
    qtype: QType
    granularity: Granularity = PER_TENSOR

    def __post_init__(self) -> None:
        scale = np.asarray(self.scale, np.float32)
        zero_point = np.broadcast_to(np.asarray(self.zero_point, self.qtype.dtype), scale.shape)
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            raise ValueError(f"scale must be finite and > 0, got {scale}")
        if not has_shape(self.granularity, scale):
            raise ValueError(f"scale of shape {scale.shape} does not go with {self.granularity}")
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "zero_point", zero_point)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, QParams)
            and (self.qtype, self.granularity) == (other.qtype, other.granularity)
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )

    @property
    def axis(self) -> int | None:
        """Axis with one scale per index; None for a single scale.

        Raises ValueError for blocks.
        """
        return axis_of(self.granularity)

    def range(self) -> tuple[FloatArray, FloatArray]:
        """Real numbers of the lowest and the highest code, of the shape of `scale`."""
        z = self.zero_point.astype(np.float32)
        lo, hi = (self.qtype.qmin - z) * self.scale, (self.qtype.qmax - z) * self.scale
        return np.asarray(lo, np.float32), np.asarray(hi, np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Constant:
    """Stored form of one constant.

    `codes`: of the constant's shape, in the storage type of `params`; None for the nearest codes.
    """

    params: QParams
    codes: Array | None = None

    def quantize(self, x: ArrayLike) -> Array:
        """Codes of the constant x."""
        return quantize(x, self.params) if self.codes is None else self.codes


def qparams_from_range(
    lo: ArrayLike, hi: ArrayLike, *, qtype: QType, symmetric: bool, granularity: Granularity = PER_TENSOR
) -> QParams:
    """Scale and zero-point for the range [lo, hi], by the convention above.

    `lo` and `hi` have the shape that the scale will have.
    """
    low = np.minimum(np.asarray(lo, np.float64), 0.0)
    high = np.maximum(np.asarray(hi, np.float64), 0.0)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError(f"the range must be finite, got [{low}, {high}]")
    if symmetric:
        scale, zero_point = _symmetric(low, high, qtype)
    else:
        scale = _safe_scale((high - low) / (qtype.qmax - qtype.qmin))
        zero_point = np.rint(qtype.qmin - low / scale.astype(np.float64))
    zero_point = np.clip(zero_point, qtype.qmin, qtype.qmax).astype(qtype.dtype)
    return QParams(scale=scale, zero_point=zero_point, qtype=qtype, granularity=granularity)


def _symmetric(low: Array, high: Array, qtype: QType) -> tuple[FloatArray, Array]:
    bound = np.maximum(-low, high)
    if qtype.signed:
        return _safe_scale(bound / qtype.qmax), np.zeros_like(bound)
    half = (qtype.qmax + 1) // 2
    one_sided = low >= 0
    scale = _safe_scale(np.where(one_sided, bound / qtype.qmax, bound / (half - 1)))
    return scale, np.where(one_sided, 0, half)


def _safe_scale(scale: Array) -> FloatArray:
    """Scale in float32: 1 for a dead channel, and never subnormal."""
    return np.where(scale > 0, np.maximum(scale, SMALLEST_SCALE), 1.0).astype(np.float32)


def quantize(x: ArrayLike, params: QParams) -> Array:
    """Integer codes of x, in x's shape and the storage type of `params`."""
    x = np.asarray(x, np.float32)
    scale = spread(params.scale, params.granularity, x.shape)
    zero_point = spread(params.zero_point, params.granularity, x.shape)
    with np.errstate(over="ignore"):  # a quotient beyond float32 saturates below
        q = np.rint(x / scale) + zero_point.astype(np.float64)
    codes: Array = np.clip(q, params.qtype.qmin, params.qtype.qmax).astype(params.qtype.dtype)
    return codes


def dequantize(q: Array, params: QParams) -> FloatArray:
    """Real numbers of the codes, in float32."""
    scale = spread(params.scale, params.granularity, q.shape)
    zero_point = spread(params.zero_point, params.granularity, q.shape)
    return ((q.astype(np.int64) - zero_point.astype(np.int64)).astype(np.float32) * scale).astype(np.float32)


def fake_quantize(x: ArrayLike, params: QParams) -> FloatArray:
    """x rounded to the quantized grid: dequantize(quantize(x))."""
    return dequantize(quantize(x, params), params)


def dead_channels(weight: ArrayLike, axis: int | None) -> NDArray[np.bool_]:
    """Whether each channel along `axis` is all zeros, (C,); () without an axis."""
    weight = np.asarray(weight)
    others = tuple(i for i in range(weight.ndim) if axis is None or i != axis % weight.ndim)
    return np.asarray(~weight.any(axis=others))


def fit_bias(
    bias: ArrayLike, input_scale: ArrayLike, weight_scale: ArrayLike, dead: ArrayLike = False
) -> FloatArray:
    """Weight scales with which the int32 bias fits.

    A scale is raised if the bias would overflow: a channel with tiny weights and a large bias gives up weight
    resolution, not its bias (onnxruntime PR 22020). In a `dead` channel only the bias counts, so a too coarse scale is
    lowered. `bias` has shape (C,), `input_scale` (), `weight_scale` () or (C,), and the result that of `weight_scale`.
    """
    weight_scale = np.asarray(weight_scale, np.float32)
    steps = np.abs(np.asarray(bias, np.float64)) / float(np.asarray(input_scale))
    if weight_scale.ndim == 0:
        steps = steps.max(initial=0.0)
    fine = np.maximum(steps / BIAS_STEPS, SMALLEST_SCALE)
    fitting = np.where(np.asarray(dead) & (steps > 0), np.minimum(weight_scale, fine), weight_scale)
    return np.asarray(np.maximum(fitting, steps / BIAS_LIMIT), np.float32)


def unseen_input_scale(bias: ArrayLike, weight_scale: ArrayLike) -> float:
    """Scale of an input that was zero in calibration.

    It is 1, or less if the bias needs it. The bias is then the whole result, and should have 16 bits in steps of s_x ·
    s_w. `bias` has shape (C,), `weight_scale` () or (C,).
    """
    largest = float(np.abs(np.asarray(bias, np.float64)).max(initial=0.0))
    if largest == 0.0:
        return 1.0
    step = float(np.asarray(weight_scale).max()) * UNSEEN_STEPS
    return max(min(largest / step, 1.0), SMALLEST_SCALE)


def bias_params(input_scale: ArrayLike, weight_scale: ArrayLike) -> QParams:
    """int32 parameters of a bias, s_b = s_x · s_w in float32 as in the runtimes.

    Shape () or (C,).
    """
    scale = np.asarray(input_scale, np.float32) * np.asarray(weight_scale, np.float32)
    scale = np.asarray(np.maximum(scale, SMALLEST_SCALE), np.float32)
    return QParams(
        scale=scale,
        zero_point=np.zeros_like(scale),
        qtype=INT32,
        granularity=per_axis(None if scale.ndim == 0 else 0),
    )


def is_uniform(values: ArrayLike) -> bool:
    """Whether all values are the same number."""
    array = np.asarray(values)
    return bool((array == array.flat[:1]).all())


def sqnr_db(reference: ArrayLike, value: ArrayLike) -> float:
    """Signal-to-quantization-noise ratio in dB; inf if equal.

    10·log10(Σ reference² / Σ (reference - value)²).
    """
    r, v = np.asarray(reference, np.float64), np.asarray(value, np.float64)
    noise, signal = float(np.square(r - v).sum()), float(np.square(r).sum())
    if noise == 0.0:
        return float("inf")
    return 10.0 * float(np.log10(signal / noise)) if signal else float("-inf")
