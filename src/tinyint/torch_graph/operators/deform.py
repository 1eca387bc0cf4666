"""Deformable convolution (Zhu et al. 2018, arXiv:1811.11168)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tinyint.torch_graph.operators.node import Function, Maker, Node
from tinyint.torch_graph.operators.sampling import bilinear
from tinyint.torch_graph.operators.window import read_window

__all__ = ["OPERATORS", "deform_conv2d"]


def deform_conv2d(
    x: Tensor,
    weight: Tensor,
    offset: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0),
    dilations: Sequence[int] = (1, 1),
    group: int = 1,
    offset_group: int = 1,
) -> Tensor:
    """Convolution over bilinear samples at shifted positions, times a mask.

    `x` is (N, C, H, W), zero outside; `weight` (M, C / group, kH, kW). For a result of h × w and K = kH·kW taps,
    `offset` is (N, offset_group·K·2, h, w), y before x, in pixels, and `mask` (N, offset_group·K, h, w). `pads` are
    those at the top and at the left.
    """
    batch, channels, height, width = x.shape
    kernel, (rows, columns) = weight.shape[2:], offset.shape[2:]
    taps = kernel[0] * kernel[1]
    starts = [
        torch.arange(length, device=x.device) * stride - pad
        for length, stride, pad in zip((rows, columns), strides, pads, strict=True)
    ]
    reach = [torch.arange(k, device=x.device) * d for k, d in zip(kernel, dilations, strict=True)]
    y = (reach[0][:, None, None, None] + starts[0][:, None]).expand(*kernel, rows, columns)
    z = (reach[1][:, None, None] + starts[1]).expand(*kernel, rows, columns)
    shift = offset.reshape(batch * offset_group, taps, 2, rows * columns)
    image = x.reshape(batch * offset_group, channels // offset_group, height, width)
    positions = [axis.reshape(taps, -1) + shift[:, :, i] for i, axis in enumerate((y, z))]
    sampled = bilinear(image, positions[0].flatten(1), positions[1].flatten(1))
    sampled = sampled.reshape(batch, offset_group, -1, taps, rows * columns)
    if mask is not None:
        sampled = sampled * mask.reshape(batch, offset_group, 1, taps, rows * columns)
    patches = sampled.reshape(batch, group, -1, rows * columns)
    result = (weight.reshape(group, -1, patches.shape[2]) @ patches).reshape(batch, -1, rows, columns)
    return result if bias is None else result + bias.reshape(-1, 1, 1)


def _deform_conv(node: Node) -> Function:
    group, offset_group = node.integer("group", 1), node.integer("offset_group", 1)

    def deform_conv(
        x: Tensor, weight: Tensor, offset: Tensor, bias: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        window = read_window(node, weight.shape[2:])
        return deform_conv2d(
            x,
            weight,
            offset,
            bias,
            mask,
            strides=window.strides,
            pads=[begin for begin, _ in window.pads],
            dilations=window.dilations,
            group=group,
            offset_group=offset_group,
        )

    return deform_conv


OPERATORS: dict[str, Maker] = {"DeformConv": _deform_conv}
