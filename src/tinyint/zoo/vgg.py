"""VGG, configurations D and E (Simonyan and Zisserman 2014, arXiv:1409.1556, Table 1)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from tinyint.zoo.blocks import ConvReLU

__all__ = ["VGG", "vgg16", "vgg19"]

_CHANNELS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """Five stages of `repeats` 3×3 convolutions, a 2×2 max pooling after each, and three linear layers.

    The linear layers fix the input size: 224×224.
    """

    def __init__(self, repeats: Sequence[int], num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential()
        inputs = in_channels
        for outputs, count in zip(_CHANNELS, repeats, strict=True):
            for _ in range(count):
                self.features.append(ConvReLU(inputs, outputs, 3))
                inputs = outputs
            self.features.append(nn.MaxPool2d(2))
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(inputs * 7 * 7, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, 224, 224) images -> (N, classes) logits."""
        logits: Tensor = self.classifier(self.features(images))
        return logits


def vgg16(*, num_classes: int = 1000, in_channels: int = 3) -> VGG:
    """Configuration D: 16 layers with weights."""
    return VGG((2, 2, 3, 3, 3), num_classes, in_channels)


def vgg19(*, num_classes: int = 1000, in_channels: int = 3) -> VGG:
    """Configuration E: 19 layers with weights."""
    return VGG((2, 2, 4, 4, 4), num_classes, in_channels)
