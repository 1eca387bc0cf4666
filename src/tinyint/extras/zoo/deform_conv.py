"""Modulated deformable convolution, version 2 (Zhu et al. 2018, arXiv:1811.11168, §3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tinyint.torch_graph.operators.deform import deform_conv2d

__all__ = ["OPSET", "DeformConv2d"]

OPSET = 19  # the first that has it


class DeformConv2d(nn.Conv2d):
    """Convolution whose K taps are moved by the output of an inner convolution, `shift`.

    `shift` has 3·K channels: K pairs (y, x) in pixels, and K logits of the taps' weights. It starts at zero, so that no
    tap moves and each counts one half, as in the paper. It is exported as ONNX's DeformConv, opset 19.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        taps = self.kernel_size[0] * self.kernel_size[1]
        self.shift = nn.Conv2d(self.in_channels, 3 * taps, *_geometry(self))
        nn.init.zeros_(self.shift.weight)
        assert self.shift.bias is not None
        nn.init.zeros_(self.shift.bias)

    @classmethod
    def like(cls, conv: nn.Conv2d) -> DeformConv2d:
        """Deformable convolution of the same geometry, with new weights."""
        bias = conv.bias is not None
        return cls(conv.in_channels, conv.out_channels, *_geometry(conv), groups=conv.groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        taps = self.kernel_size[0] * self.kernel_size[1]
        offset, mask = self.shift(x).split([2 * taps, taps], 1)
        assert not isinstance(self.padding, str)
        run = _Exported.apply if torch.onnx.is_in_onnx_export() else _deform_conv
        y: Tensor = run(
            x,
            self.weight,
            offset,
            self.bias,
            torch.sigmoid(mask),
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
        )
        return y


def _geometry(conv: nn.Conv2d) -> tuple[Any, Any, Any, Any]:
    return conv.kernel_size, conv.stride, conv.padding, conv.dilation


def _deform_conv(
    x: Tensor,
    weight: Tensor,
    offset: Tensor,
    bias: Tensor | None,
    mask: Tensor,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    group: int,
) -> Tensor:
    return deform_conv2d(
        x, weight, offset, bias, mask, strides=strides, pads=pads, dilations=dilations, group=group
    )


class _Exported(torch.autograd.Function):
    """Function that the tracing exporter writes as one node; in tracing, only its shape matters."""

    @staticmethod
    def forward(_: Any, x: Tensor, weight: Tensor, offset: Tensor, *__: Any) -> Tensor:
        return offset.new_zeros(x.shape[0], weight.shape[0], *offset.shape[2:])

    @staticmethod
    def symbolic(
        g: Any,
        x: Any,
        weight: Any,
        offset: Any,
        bias: Any,
        mask: Any,
        strides: Sequence[int],
        pads: Sequence[int],
        dilations: Sequence[int],
        group: int,
    ) -> Any:
        if g.opset < OPSET:
            raise torch.onnx.errors.UnsupportedOperatorError("DeformConv", g.opset, OPSET)
        if bias is None:
            bias = g.op("Constant", value_t=torch.zeros(weight.type().sizes()[0]))
        return g.op(
            "DeformConv",
            *(x, weight, offset, bias, mask),
            strides_i=strides,
            pads_i=(*pads, *pads),
            dilations_i=dilations,
            group_i=group,
        )
