"""Resize and Upsample, axis by axis.

An axis is multiplied by a matrix (out, in) of interpolation weights, or for "nearest" indexed. Forms that torch
interpolates in the same way go to torch, which is faster.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tinyint.torch_graph.operators.node import Function, Maker, Node

__all__ = ["OPERATORS"]


@dataclass(frozen=True)
class _Options:
    """Attributes of Resize."""

    mode: str = "nearest"
    transform: str = "half_pixel"
    nearest: str = "round_prefer_floor"
    cubic: float = -0.75
    exclude: bool = False
    antialias: bool = False
    extrapolation: float = 0.0


@dataclass(frozen=True)
class _Axis:
    """Resized axis; `span`: the part of it that tf_crop_and_resize takes, from 0 to 1."""

    axis: int
    size: int
    out: int
    scale: float
    span: tuple[float, float]

    def positions(self, transform: str) -> Tensor:
        """Position in the input of each output.

        It is rounded to float32 as in ONNX Runtime, so that ties are the same.
        """
        x, scale, last = torch.arange(self.out, dtype=torch.float32), _single(self.scale), self.size - 1
        match transform:
            case "align_corners":
                position = x * last / _single(self.out - 1) if self.out > 1 else x * 0
            case "asymmetric":
                position = x / scale
            case "tf_half_pixel_for_nn":
                position = (x + 0.5) / scale
            case "tf_crop_and_resize":
                position = self._cropped(x, *self.span)
            case "pytorch_half_pixel" if self.out == 1:
                position = x * 0
            case "half_pixel_symmetric":
                begin = self.size / 2 * (1 - _single(self.out) / (scale * self.size))
                position = begin + (x.double() + 0.5) / scale - 0.5
            case _:
                position = (x + 0.5) / scale - 0.5
        return position.float().double()

    def _cropped(self, x: Tensor, begin: float, end: float) -> Tensor:
        last = self.size - 1
        if self.out == 1:
            return x * 0 + (begin + end) * last / 2
        return _single(begin) * last + x * _single(end - begin) * last / _single(self.out - 1)

    def rounding(self, nearest: str) -> str:
        """Rounding between two pixels: before opset 11, down if the image grows, else up."""
        return ("floor" if self.scale >= 1 else "ceil") if nearest == "by scale" else nearest


def _single(number: float) -> Tensor:
    """Number as a float32 tensor of one element.

    By such a tensor torch divides; by a Python number it multiplies with the inverse.
    """
    return torch.tensor([number], dtype=torch.float32)


_ROUND: dict[str, Callable[[Tensor], Tensor]] = {
    "round_prefer_floor": lambda x: torch.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: torch.floor(x + 0.5),
    "floor": torch.floor,
    "ceil": torch.ceil,
}
_HAS_MODES = 11  # the first operator set whose Resize has these attributes, and an input before the scales


def _resize(node: Node) -> Function:
    if node.opset < _HAS_MODES:
        return _upsample(node)
    options = _Options(
        mode=node.text("mode", "nearest"),
        transform=node.text("coordinate_transformation_mode", "half_pixel"),
        nearest=node.text("nearest_mode", "round_prefer_floor"),
        cubic=node.real("cubic_coeff_a", -0.75),
        exclude=bool(node.integer("exclude_outside")),
        antialias=bool(node.integer("antialias")),
        extrapolation=node.real("extrapolation_value"),
    )
    rois, scales, sizes = (node.reader(i) for i in (1, 2, 3))
    fixed, policy = node.integers("axes"), node.text("keep_aspect_ratio_policy", "stretch")

    def resize(
        x: Tensor, roi: Tensor | None = None, scale: Tensor | None = None, size: Tensor | None = None
    ) -> Tensor:
        on = [a % x.dim() for a in fixed] if fixed is not None else list(range(x.dim()))
        axes = _axes(x, on, scales(scale), sizes(size), policy, rois(roi))
        return _interpolate(x, axes, options)

    return resize


def _upsample(node: Node) -> Function:
    """Upsample, and the Resize of opset 10, which is the same."""
    options = _Options(mode=node.text("mode", "nearest"), transform="asymmetric", nearest="by scale")
    fixed, scales = node.reals("scales"), node.reader(1)

    def upsample(x: Tensor, scale: Tensor | None = None) -> Tensor:
        return _interpolate(
            x, _axes(x, list(range(x.dim())), fixed or scales(scale), None, "stretch", None), options
        )

    return upsample


def _axes(x: Tensor, on: list[int], scales: Any, sizes: Any, policy: str, roi: Any) -> list[_Axis]:
    roi = roi or [0.0] * len(on) + [1.0] * len(on)
    common = None
    if sizes and policy != "stretch":
        choose = min if policy == "not_larger" else max
        common = choose(n / x.shape[a] for n, a in zip(sizes, on, strict=True))
    axes = []
    for i, axis in enumerate(on):
        size = x.shape[axis]
        if common is not None:
            scale, out = common, math.floor(common * size + 0.5)
        elif sizes:
            scale, out = sizes[i] / size, sizes[i]
        else:
            scale, out = scales[i], int(_single(scales[i]) * size)
        axes.append(_Axis(axis, size, out, scale, (roi[i], roi[i + len(on)])))
    cropped = [a for a in axes if a.span != (0.0, 1.0)]
    if all(a.size == a.out for a in axes):
        return (
            cropped  # the image stays the same, even if a scale of 1.2 would move pixels, as in ONNX Runtime
        )
    return [a for a in axes if a.scale != 1 or a.size != a.out or a in cropped]


def _interpolate(x: Tensor, axes: list[_Axis], options: _Options) -> Tensor:
    native = _native(x, axes, options)
    if native is not None:
        return native
    values = x if x.is_floating_point() or options.mode == "nearest" else x.double()
    for axis in axes:
        positions = axis.positions(options.transform)
        if options.mode == "nearest":
            index = (
                _ROUND[axis.rounding(options.nearest)](positions).long().clamp(0, axis.size - 1).to(x.device)
            )
            values = values.index_select(axis.axis, index)
        else:
            matrix = _weights(positions, axis, options).to(values)
            values = (values.movedim(axis.axis, -1) @ matrix.t()).movedim(-1, axis.axis)
        if options.transform == "tf_crop_and_resize":
            outside = ((positions < 0) | (positions > axis.size - 1)).to(x.device)
            shape = [-1 if a == axis.axis else 1 for a in range(x.dim())]
            values = values.masked_fill(outside.reshape(shape), options.extrapolation)
    return values if values.dtype == x.dtype else values.round().to(x.dtype)


def _weights(positions: Tensor, axis: _Axis, options: _Options) -> Tensor:
    """Weight of each input in each output, (out, in).

    Positions beyond the edges count for the edges.
    """
    shrink = min(axis.scale, 1.0) if options.antialias else 1.0
    reach = 1 if options.mode == "linear" else 2
    half = math.ceil(reach / shrink)
    taps = positions.floor().long()[:, None] + torch.arange(-half, half + 2)
    distance = (taps - positions[:, None]).abs() * shrink
    weights = (1 - distance).clamp(min=0) if options.mode == "linear" else _cubic(distance, options.cubic)
    if options.exclude:
        weights = weights * ((taps >= 0) & (taps < axis.size))
    weights = weights / weights.sum(1, keepdim=True)
    matrix = torch.zeros(axis.out, axis.size, dtype=torch.float64)
    return matrix.scatter_add(1, taps.clamp(0, axis.size - 1), weights)


def _cubic(distance: Tensor, a: float) -> Tensor:
    """Keys' cubic convolution (1981), a = -0.5 in the paper."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return torch.where(distance <= 1, near, torch.where(distance < 2, far, torch.zeros_like(far)))


def _native(x: Tensor, axes: list[_Axis], options: _Options) -> Tensor | None:
    """Result of torch, or None if torch does not compute the same.

    It does over the spatial axes, without the options that only ONNX has.
    """
    space = list(range(2, x.dim()))
    if [a.axis for a in axes] != space or x.dim() not in (4, 5) or not x.is_floating_point():
        return None
    if options.exclude or options.antialias or options.cubic != -0.75:
        return None
    whole = all(a.size * a.scale == a.out for a in axes)
    out = [a.out for a in axes]
    if options.mode == "nearest":
        integer = all(a.out % a.size == 0 for a in axes)
        same = (
            whole
            and integer
            and options.transform == "asymmetric"
            and options.nearest in ("floor", "by scale")
        )
        return functional.interpolate(x, out, mode="nearest") if same else None
    corners = options.transform == "align_corners"
    half = options.transform == "half_pixel" or (options.transform == "pytorch_half_pixel" and min(out) > 1)
    if not whole or not (corners or half) or (options.mode == "cubic" and x.dim() != 4):
        return None
    mode = "bicubic" if options.mode == "cubic" else {4: "bilinear", 5: "trilinear"}[x.dim()]
    return functional.interpolate(x, out, mode=mode, align_corners=corners)


OPERATORS: dict[str, Maker] = {"Resize": _resize, "Upsample": _upsample}
