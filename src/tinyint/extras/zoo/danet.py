"""DANet: dual attention, over positions and channels.

Fu et al. 2018, arXiv:1809.02983, Figures 2 and 3.
"""

from __future__ import annotations

from torch import Tensor, nn

from tinyint.extras.zoo.blocks import ConvNorm
from tinyint.extras.zoo.segmentation import DilatedSegmenter, Gain, PixelClassifier, to_map, to_rows

__all__ = ["DANet", "danet_resnet50"]


class PositionAttention(nn.Module):
    """Attention over positions, by their similarity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 8, 1)
        self.key = nn.Conv2d(channels, channels // 8, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gain = Gain()

    def forward(self, x: Tensor) -> Tensor:
        alike = to_rows(self.query(x)).transpose(1, 2) @ to_rows(self.key(x))  # (N, H·W, H·W)
        read = alike.softmax(2) @ to_rows(self.value(x)).transpose(1, 2)
        out: Tensor = x + self.gain(to_map(read.transpose(1, 2), x))
        return out


class ChannelAttention(nn.Module):
    """Attention over channels, by their dissimilarity.

    The paper subtracts the products from their maximum, which under the softmax is a change of sign.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gain = Gain()

    def forward(self, x: Tensor) -> Tensor:
        rows = to_rows(x)
        unlike = -(rows @ rows.transpose(1, 2))  # (N, C, C)
        out: Tensor = x + self.gain(to_map(unlike.softmax(2) @ rows, x))
        return out


class DANet(DilatedSegmenter):
    """DANet: sum of both attentions over the last stage.

    In training, each attention and the stage itself also have logits.
    """

    def __init__(self, num_classes: int = 19, width: float = 1.0, in_channels: int = 3) -> None:
        super().__init__(in_channels, width)
        last = self.backbone.channels[-1]
        inner = last // 4
        self.position = nn.Sequential(
            ConvNorm(last, inner, 3), PositionAttention(inner), ConvNorm(inner, inner, 3)
        )
        self.channel = nn.Sequential(ConvNorm(last, inner, 3), ChannelAttention(), ConvNorm(inner, inner, 3))
        self.classify = PixelClassifier(inner, num_classes)
        self.classify_position = PixelClassifier(inner, num_classes)
        self.classify_channel = PixelClassifier(inner, num_classes)
        self.auxiliary = PixelClassifier(last, num_classes)

    def decode(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        last = maps[-1]
        position, channel = self.position(last), self.channel(last)
        logits = self.classify(position + channel)
        if not self.training:
            return (logits,)
        return logits, self.classify_position(position), self.classify_channel(channel), self.auxiliary(last)


def danet_resnet50(*, num_classes: int = 19, width: float = 1.0, in_channels: int = 3) -> DANet:
    """DANet on ResNet-50-D."""
    return DANet(num_classes, width, in_channels)
