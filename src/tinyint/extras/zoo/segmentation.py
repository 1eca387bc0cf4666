"""Building blocks of segmentation networks, beside `zoo.blocks`.

Maps are (N, C, H, W), rows (N, C, H·W).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from tinyint.extras.zoo.blocks import ConvNorm
from tinyint.extras.zoo.resnet_vd import ResNetVD
from tinyint.tasks import Segmentation

__all__ = [
    "AuxiliaryHead",
    "ContextSegmenter",
    "DilatedSegmenter",
    "Gain",
    "PixelClassifier",
    "Separable",
    "average_bins",
    "resize",
    "to_map",
    "to_rows",
]


class DilatedSegmenter(nn.Module):
    """Base of seven networks with a head on ResNet-50-D of output stride 8.

    `decode`, which a network defines, gets the maps of the backbone's four stages.
    """

    task = Segmentation()

    def __init__(
        self, in_channels: int, width: float, *, multi_grid: tuple[int, int, int] | None = None
    ) -> None:
        super().__init__()
        self.backbone = ResNetVD(in_channels=in_channels, width=width, output_stride=8, multi_grid=multi_grid)

    def decode(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Maps of the stages -> logits of any resolution, in training mode also auxiliary ones."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(N, C, H, W) images -> (N, classes, H, W) logits.

        In training mode a tuple with auxiliary ones.
        """
        logits = tuple(resize(each, images) for each in self.decode(self.backbone(images)))
        return logits if self.training else logits[0]


class ContextSegmenter(DilatedSegmenter):
    """Context block over the last stage, concatenated; auxiliary head on the third.

    `block` builds a module for a number of channels; its output has the shape of its input.
    """

    def __init__(
        self, block: Callable[[int], nn.Module], num_classes: int, width: float, in_channels: int
    ) -> None:
        super().__init__(in_channels, width)
        *_, third, last = self.backbone.channels
        inner = last // 4
        self.context = nn.Sequential(ConvNorm(last, inner, 3), block(inner), ConvNorm(inner, inner, 3))
        self.merge = ConvNorm(last + inner, inner, 3)
        self.classify = PixelClassifier(inner, num_classes)
        self.auxiliary = AuxiliaryHead(third, third // 4, num_classes)

    def decode(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        *_, third, last = maps
        logits = self.classify(self.merge(torch.cat((last, self.context(last)), 1)))
        return (logits, self.auxiliary(third)) if self.training else (logits,)


class PixelClassifier(nn.Sequential):
    """Dropout of whole channels and a 1×1 convolution to `classes`."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__(nn.Dropout2d(0.1), nn.Conv2d(inputs, classes, 1))


class AuxiliaryHead(nn.Sequential):
    """Logits from a middle stage, for training only (deep supervision)."""

    def __init__(self, inputs: int, width: int, classes: int) -> None:
        super().__init__(ConvNorm(inputs, width, 3), PixelClassifier(width, classes))


class Separable(nn.Sequential):
    """Depthwise 3×3 and 1×1 convolution; only the second has an activation."""

    def __init__(self, inputs: int, outputs: int, *, dilation: int = 1) -> None:
        super().__init__(
            ConvNorm(inputs, inputs, 3, dilation=dilation, groups=inputs, activation=None),
            ConvNorm(inputs, outputs, 1),
        )


class Gain(nn.Module):
    """Learned factor that starts at 0, to fade in the branch before it."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain


# In tracing, sizes are tensors; int() turns them into numbers, so that the ONNX graph has no shape arithmetic.


def resize(x: Tensor, like: Tensor) -> Tensor:
    """`x` resized bilinearly to the resolution of `like`.

    A single pixel is repeated, which can run in int8.
    """
    height, width = int(like.shape[2]), int(like.shape[3])
    rows, columns = int(x.shape[2]), int(x.shape[3])
    if (rows, columns) == (height, width):
        return x
    if rows == columns == 1:
        return functional.interpolate(x, scale_factor=(float(height), float(width)), mode="nearest")
    if height % rows == 0 and width % columns == 0:
        factors = (height / rows, width / columns)
        return functional.interpolate(x, scale_factor=factors, mode="bilinear", align_corners=False)
    return functional.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)


def average_bins(x: Tensor, bins: int) -> Tensor:
    """(N, C, H, W) -> (N, C, bins, bins): averages over equal windows.

    The windows overlap if the side is not a multiple of `bins`.
    """
    height, width = int(x.shape[2]), int(x.shape[3])
    stride = (height // bins, width // bins)
    kernel = (height - (bins - 1) * stride[0], width - (bins - 1) * stride[1])
    return functional.avg_pool2d(x, kernel, stride)


def to_rows(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, H·W)."""
    return x.reshape(-1, int(x.shape[1]), int(x.shape[2]) * int(x.shape[3]))


def to_map(rows: Tensor, like: Tensor) -> Tensor:
    """(N, C, H·W) -> (N, C, H, W), sized like `like`."""
    return rows.reshape(-1, int(rows.shape[1]), int(like.shape[2]), int(like.shape[3]))
