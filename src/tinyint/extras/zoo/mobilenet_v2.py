"""MobileNetV2: inverted residuals, linear bottlenecks (Sandler et al. 2018, arXiv:1801.04381, Table 2)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from tinyint.extras.zoo.blocks import Classifier, ConvNorm, divisible

__all__ = ["PAPER_ROWS", "MobileNetV2", "Row", "mobilenet_v2"]

Row = tuple[int, int, int, int]
PAPER_ROWS: tuple[Row, ...] = (  # expansion t, output channels c, repeats n, stride s of the first
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class InvertedResidual(nn.Module):
    """Expand 1×1, depthwise 3×3, linear project 1×1; skip where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.skip = stride == 1 and inputs == outputs
        self.body = nn.Sequential()
        if expansion != 1:
            self.body.add_module("expand", ConvNorm(inputs, hidden, 1, activation=nn.ReLU6))
        depthwise = ConvNorm(hidden, hidden, 3, stride=stride, groups=hidden, activation=nn.ReLU6)
        self.body.add_module("depthwise", depthwise)
        self.body.add_module("project", ConvNorm(hidden, outputs, 1, activation=None))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return x + out if self.skip else out


class MobileNetV2(nn.Module):
    """MobileNetV2; `width` multiplies channel counts, rounded to multiples of 8.

    The last layer's count is only multiplied by a `width` over 1.

    `rows` is Table 2 of the paper unless a smaller network is wanted; `features` is the width of the last
    convolution.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width: float = 1.0,
        in_channels: int = 3,
        *,
        rows: Sequence[Row] = PAPER_ROWS,
        features: int = 1280,
    ) -> None:
        super().__init__()
        channels = divisible(32 * width)
        self.stem = ConvNorm(in_channels, channels, 3, stride=2, activation=nn.ReLU6)
        self.blocks = nn.Sequential()
        for expansion, c, repeats, first_stride in rows:
            outputs = divisible(c * width)
            for index in range(repeats):
                stride = first_stride if index == 0 else 1
                self.blocks.append(InvertedResidual(channels, outputs, stride, expansion))
                channels = outputs
        last = divisible(features * max(1.0, width))
        self.head = ConvNorm(channels, last, 1, activation=nn.ReLU6)
        self.classifier = Classifier(last, num_classes, dropout=0.2)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) images -> (N, classes) logits."""
        logits: Tensor = self.classifier(self.head(self.blocks(self.stem(images))))
        return logits


def mobilenet_v2(*, num_classes: int = 1000, width: float = 1.0, in_channels: int = 3) -> MobileNetV2:
    """MobileNetV2 at `width`."""
    return MobileNetV2(num_classes, width, in_channels)
