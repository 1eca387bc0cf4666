"""Scales and zero-points on torch tensors: the same numbers as `tinyint.numbers.numerics`, whose convention holds.

Everything runs on the device of its inputs, in float64 as there, without waiting for the device.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tinyint.numbers.granularity import per_axis
from tinyint.numbers.numerics import BIAS_LIMIT, BIAS_STEPS, SMALLEST_SCALE, QParams, QType

__all__ = ["along", "bias_scale", "fit_bias", "read_qparams", "scale_and_zero_point"]


def scale_and_zero_point(lo: Tensor, hi: Tensor, *, qtype: QType, symmetric: bool) -> tuple[Tensor, Tensor]:
    """`numerics.qparams_from_range`: (scale, zero-point), each float32 of the shape of `lo` and `hi`."""
    low, high = lo.double().clamp_max(0.0), hi.double().clamp_min(0.0)
    if symmetric and qtype.signed:
        scale = _safe(torch.maximum(-low, high) / qtype.qmax)
        return scale, torch.zeros_like(scale)
    if symmetric:
        bound, half = torch.maximum(-low, high), (qtype.qmax + 1) // 2
        one_sided = low >= 0
        scale = _safe(torch.where(one_sided, bound / qtype.qmax, bound / (half - 1)))
        return scale, torch.where(one_sided, 0.0, float(half)).to(scale.dtype)
    scale = _safe((high - low) / (qtype.qmax - qtype.qmin))
    zero_point = torch.round(qtype.qmin - low / scale.double())
    return scale, zero_point.clamp(qtype.qmin, qtype.qmax).float()


def _safe(scale: Tensor) -> Tensor:
    return torch.where(scale > 0, scale.clamp_min(SMALLEST_SCALE), 1.0).float()


def fit_bias(bias: Tensor, input_scale: Tensor, weight_scale: Tensor, dead: Tensor | None = None) -> Tensor:
    """`numerics.fit_bias`: the weight scales, () or (C,), as the int32 bias (C,) needs them."""
    steps = bias.double().abs() / input_scale.double()
    if weight_scale.dim() == 0:
        steps = steps.amax() if steps.numel() else steps.new_zeros(())
    scale = weight_scale.double()
    if dead is not None:
        fine = (steps / BIAS_STEPS).clamp_min(SMALLEST_SCALE)
        scale = torch.where(dead & (steps > 0), torch.minimum(scale, fine), scale)
    return torch.maximum(scale, steps / BIAS_LIMIT).float()


def bias_scale(input_scale: Tensor, weight_scale: Tensor) -> Tensor:
    """`numerics.bias_params`: s_x · s_w in float32."""
    return (input_scale * weight_scale).clamp_min(SMALLEST_SCALE)


def along(values: Tensor, axis: int | None, dims: int) -> Tensor:
    """`values` of shape () or (C,), reshaped to broadcast along `axis`.

    Of a tensor of `dims` dimensions.
    """
    if axis is None:
        return values
    shape = [1] * dims
    shape[axis] = -1
    return values.reshape(shape)


def read_qparams(scale: Tensor, zero_point: Tensor, qtype: QType, axis: int | None) -> QParams:
    """The parameters that these tensors hold."""
    return QParams(
        scale=scale.detach().cpu().numpy().astype(np.float32),
        zero_point=zero_point.detach().cpu().numpy().astype(qtype.dtype),
        qtype=qtype,
        granularity=per_axis(axis),
    )
