"""Building blocks of the zoo's networks; every tensor is (N, C, H, W)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import nn

__all__ = ["Classifier", "ConvNorm", "ConvReLU", "divisible"]


class ConvNorm(nn.Sequential):
    """Convolution, batch norm and activation; "same" padding for odd kernels.

    * `dilation`: distance of the kernel's taps
    * `activation`: None for none
    * `gain`: initial scale of the batch norm
    """

    conv: nn.Conv2d

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        activation: Callable[..., nn.Module] | None = nn.ReLU,
        gain: float = 1.0,
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["conv"] = nn.Conv2d(
            inputs,
            outputs,
            kernel,
            stride=stride,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            groups=groups,
            bias=False,
        )
        norm = nn.BatchNorm2d(outputs)
        nn.init.constant_(norm.weight, gain)
        layers["norm"] = norm
        if activation is not None:
            layers["act"] = activation(inplace=True)
        super().__init__(layers)


class ConvReLU(nn.Sequential):
    """Convolution with bias and ReLU, without batch norm; "same" padding for odd kernels.

    The initial weights are those of He et al. 2015 (arXiv:1502.01852, §2.2), without which deep stacks do not train.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        assert conv.bias is not None
        nn.init.zeros_(conv.bias)
        layers["conv"] = conv
        layers["act"] = nn.ReLU(inplace=True)
        super().__init__(layers)


class Classifier(nn.Sequential):
    """Global average pooling, dropout, linear: (N, C, H, W) -> (N, classes)."""

    def __init__(self, inputs: int, classes: int, *, dropout: float = 0.0) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["pool"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
        if dropout > 0:
            layers["dropout"] = nn.Dropout(dropout)
        layers["linear"] = nn.Linear(inputs, classes)
        super().__init__(layers)


def divisible(channels: float, divisor: int = 8) -> int:
    """Multiple of `divisor` nearest to `channels`, at most 10 % below it (MobileNetV2)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
