"""VGG, configurations D and E (Simonyan and Zisserman 2014, arXiv:1409.1556, Table 1)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from tinyint.extras.zoo.blocks import ConvReLU, divisible

__all__ = ["VGG", "vgg16", "vgg19"]

_CHANNELS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """Five stages of `repeats` 3×3 convolutions, pooled, and three linear layers.

    A 2×2 max pooling after each stage.

    The linear layers fix the height and width of the input, `size`, a multiple of 32. `width` multiplies the number of
    channels and of hidden features, rounded to a multiple of 8.
    """

    def __init__(
        self,
        repeats: Sequence[int],
        num_classes: int = 1000,
        width: float = 1.0,
        in_channels: int = 3,
        *,
        size: int = 224,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential()
        inputs = in_channels
        for channels, count in zip(_CHANNELS, repeats, strict=True):
            outputs = divisible(channels * width)
            for _ in range(count):
                self.features.append(ConvReLU(inputs, outputs, 3))
                inputs = outputs
            self.features.append(nn.MaxPool2d(2))
        hidden = divisible(4096 * width)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            _linear(inputs * (size // 32) ** 2, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            _linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, size, size) images -> (N, classes) logits."""
        logits: Tensor = self.classifier(self.features(images))
        return logits


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """Linear layer before a ReLU, with weights by He et al. 2015 (arXiv:1502.01852, §2.2)."""
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer


def vgg16(*, num_classes: int = 1000, width: float = 1.0, in_channels: int = 3, size: int = 224) -> VGG:
    """Configuration D: 16 layers with weights."""
    return VGG((2, 2, 3, 3, 3), num_classes, width, in_channels, size=size)


def vgg19(*, num_classes: int = 1000, width: float = 1.0, in_channels: int = 3, size: int = 224) -> VGG:
    """Configuration E: 19 layers with weights."""
    return VGG((2, 2, 4, 4, 4), num_classes, width, in_channels, size=size)
