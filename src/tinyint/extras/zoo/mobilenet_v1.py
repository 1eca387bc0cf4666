"""MobileNetV1: depthwise separable convolutions (Howard et al. 2017, arXiv:1704.04861, Table 1)."""

from __future__ import annotations

from torch import Tensor, nn

from tinyint.extras.zoo.blocks import Classifier, ConvNorm, divisible

__all__ = ["MobileNetV1", "mobilenet_v1"]

_ROWS = (  # output channels, stride
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)


class Separable(nn.Sequential):
    """3×3 depthwise convolution, then a 1×1 convolution across the channels."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.depthwise = ConvNorm(inputs, inputs, 3, stride=stride, groups=inputs)
        self.pointwise = ConvNorm(inputs, outputs, 1)


class MobileNetV1(nn.Module):
    """MobileNetV1; `width` multiplies all channel counts, rounded to multiples of 8."""

    def __init__(self, num_classes: int = 1000, width: float = 1.0, in_channels: int = 3) -> None:
        super().__init__()
        channels = divisible(32 * width)
        self.stem = ConvNorm(in_channels, channels, 3, stride=2)
        self.blocks = nn.Sequential()
        for outputs, stride in _ROWS:
            self.blocks.append(Separable(channels, divisible(outputs * width), stride))
            channels = divisible(outputs * width)
        self.classifier = Classifier(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) images -> (N, classes) logits."""
        logits: Tensor = self.classifier(self.blocks(self.stem(images)))
        return logits


def mobilenet_v1(*, num_classes: int = 1000, width: float = 1.0, in_channels: int = 3) -> MobileNetV1:
    """MobileNetV1 at `width`."""
    return MobileNetV1(num_classes, width, in_channels)
