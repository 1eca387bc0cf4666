"""Resize and Upsample, axis by axis, by matrices or indices.

A matrix (out, in) of interpolation weights, or an index per output for "nearest".

What torch interpolates in the same way goes there, because it is faster.
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
class _How:
    """The attributes of Resize."""

    mode: str = "nearest"
    transform: str = "half_pixel"
    nearest: str = "round_prefer_floor"
    cubic: float = -0.75
    exclude: bool = False
    antialias: bool = False
    extrapolation: float = 0.0


@dataclass(frozen=True)
class _Axis:
    """Resized axis; `span` is the part for tf_crop_and_resize.

    In units of the axis.
    """

    axis: int
    size: int
    out: int
    scale: float
    span: tuple[float, float]

    def places(self, transform: str) -> Tensor:
        """Where in the input each output is read: numbers of float32, as in ONNX Runtime, whose ties they meet."""
        x, scale, last = torch.arange(self.out, dtype=torch.float32), _single(self.scale), self.size - 1
        match transform:
            case "align_corners":
                found = x * last / _single(self.out - 1) if self.out > 1 else x * 0
            case "asymmetric":
                found = x / scale
            case "tf_half_pixel_for_nn":
                found = (x + 0.5) / scale
            case "tf_crop_and_resize":
                found = self._cropped(x, *self.span)
            case "pytorch_half_pixel" if self.out == 1:
                found = x * 0
            case "half_pixel_symmetric":
                begin = self.size / 2 * (1 - _single(self.out) / (scale * self.size))
                found = begin + (x.double() + 0.5) / scale - 0.5
            case _:
                found = (x + 0.5) / scale - 0.5
        return found.float().double()

    def _cropped(self, x: Tensor, begin: float, end: float) -> Tensor:
        last = self.size - 1
        if self.out == 1:
            return x * 0 + (begin + end) * last / 2
        return _single(begin) * last + x * _single(end - begin) * last / _single(self.out - 1)

    def rounding(self, nearest: str) -> str:
        """Which pixel counts between two: before opset 11, the lower one if the image grows, else the upper one."""
        return ("floor" if self.scale >= 1 else "ceil") if nearest == "by scale" else nearest


def _single(number: float) -> Tensor:
    """A float32 of one element, by which torch divides, and does not multiply with its inverse."""
    return torch.tensor([number], dtype=torch.float32)


_ROUND: dict[str, Callable[[Tensor], Tensor]] = {
    "round_prefer_floor": lambda x: torch.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: torch.floor(x + 0.5),
    "floor": torch.floor,
    "ceil": torch.ceil,
}
_SAYS_HOW = (
    11  # the first operator set whose Resize has attributes for it, and another input before the scales
)


def _resize(node: Node) -> Function:
    if node.opset < _SAYS_HOW:
        return _upsample(node)
    how = _How(
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
        return _interpolate(x, axes, how)

    return resize


def _upsample(node: Node) -> Function:
    """Upsample, and the Resize that took its place for one operator set."""
    how = _How(mode=node.text("mode", "nearest"), transform="asymmetric", nearest="by scale")
    fixed, scales = node.reals("scales"), node.reader(1)

    def upsample(x: Tensor, scale: Tensor | None = None) -> Tensor:
        return _interpolate(
            x, _axes(x, list(range(x.dim())), fixed or scales(scale), None, "stretch", None), how
        )

    return upsample


def _axes(x: Tensor, on: list[int], scales: Any, sizes: Any, policy: str, roi: Any) -> list[_Axis]:
    roi = roi or [0.0] * len(on) + [1.0] * len(on)
    common = None
    if sizes and policy != "stretch":
        choose = min if policy == "not_larger" else max
        common = choose(n / x.shape[a] for n, a in zip(sizes, on, strict=True))
    found = []
    for i, axis in enumerate(on):
        size = x.shape[axis]
        if common is not None:
            scale, out = common, math.floor(common * size + 0.5)
        elif sizes:
            scale, out = sizes[i] / size, sizes[i]
        else:
            scale, out = scales[i], int(_single(scales[i]) * size)
        found.append(_Axis(axis, size, out, scale, (roi[i], roi[i + len(on)])))
    cropped = [a for a in found if a.span != (0.0, 1.0)]
    if all(a.size == a.out for a in found):
        return cropped  # else the same image, also where a scale of 1.2 moves its pixels, as in ONNX Runtime
    return [a for a in found if a.scale != 1 or a.size != a.out or a in cropped]


def _interpolate(x: Tensor, axes: list[_Axis], how: _How) -> Tensor:
    native = _native(x, axes, how)
    if native is not None:
        return native
    values = x if x.is_floating_point() or how.mode == "nearest" else x.double()
    for axis in axes:
        places = axis.places(how.transform)
        if how.mode == "nearest":
            index = _ROUND[axis.rounding(how.nearest)](places).long().clamp(0, axis.size - 1).to(x.device)
            values = values.index_select(axis.axis, index)
        else:
            matrix = _weights(places, axis, how).to(values)
            values = (values.movedim(axis.axis, -1) @ matrix.t()).movedim(-1, axis.axis)
        if how.transform == "tf_crop_and_resize":
            outside = ((places < 0) | (places > axis.size - 1)).to(x.device)
            shape = [-1 if a == axis.axis else 1 for a in range(x.dim())]
            values = values.masked_fill(outside.reshape(shape), how.extrapolation)
    return values if values.dtype == x.dtype else values.round().to(x.dtype)


def _weights(places: Tensor, axis: _Axis, how: _How) -> Tensor:
    """(out, in): what each input counts for in each output; places beyond the edges count for the edges."""
    shrink = min(axis.scale, 1.0) if how.antialias else 1.0
    reach = 1 if how.mode == "linear" else 2
    half = math.ceil(reach / shrink)
    taps = places.floor().long()[:, None] + torch.arange(-half, half + 2)
    distance = (taps - places[:, None]).abs() * shrink
    weights = (1 - distance).clamp(min=0) if how.mode == "linear" else _cubic(distance, how.cubic)
    if how.exclude:
        weights = weights * ((taps >= 0) & (taps < axis.size))
    weights = weights / weights.sum(1, keepdim=True)
    matrix = torch.zeros(axis.out, axis.size, dtype=torch.float64)
    return matrix.scatter_add(1, taps.clamp(0, axis.size - 1), weights)


def _cubic(distance: Tensor, a: float) -> Tensor:
    """Keys' cubic convolution (1981), a = -0.5 in the paper."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return torch.where(distance <= 1, near, torch.where(distance < 2, far, torch.zeros_like(far)))


def _native(x: Tensor, axes: list[_Axis], how: _How) -> Tensor | None:
    """What torch gives where it computes the same: over the spatial axes, without options of ONNX alone."""
    space = list(range(2, x.dim()))
    if [a.axis for a in axes] != space or x.dim() not in (4, 5) or not x.is_floating_point():
        return None
    if how.exclude or how.antialias or how.cubic != -0.75:
        return None
    whole = all(a.size * a.scale == a.out for a in axes)
    out = [a.out for a in axes]
    if how.mode == "nearest":
        integer = all(a.out % a.size == 0 for a in axes)
        same = whole and integer and how.transform == "asymmetric" and how.nearest in ("floor", "by scale")
        return functional.interpolate(x, out, mode="nearest") if same else None
    corners = how.transform == "align_corners"
    half = how.transform == "half_pixel" or (how.transform == "pytorch_half_pixel" and min(out) > 1)
    if not whole or not (corners or half) or (how.mode == "cubic" and x.dim() != 4):
        return None
    mode = "bicubic" if how.mode == "cubic" else {4: "bilinear", 5: "trilinear"}[x.dim()]
    return functional.interpolate(x, out, mode=mode, align_corners=corners)


OPERATORS: dict[str, Maker] = {"Resize": _resize, "Upsample": _upsample}
