"""DNLNet: disentangled non-local networks (Yin et al. 2020, arXiv:2006.06668, Figure 4)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from tinyint.extras.zoo.blocks import ConvNorm
from tinyint.extras.zoo.segmentation import ContextSegmenter, to_map, to_rows

__all__ = ["DNLNet", "dnlnet_resnet50"]

_TEMPERATURE = 0.05


class DisentangledNonLocal(nn.Module):
    """Attention: whitened pairwise term plus unary term, each with its own softmax."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.query = nn.Conv2d(channels, inner, 1)
        self.key = nn.Conv2d(channels, inner, 1)
        self.value = nn.Conv2d(channels, inner, 1)
        self.unary = nn.Conv2d(channels, 1, 1)
        self.project = ConvNorm(inner, channels, 1, activation=None)
        self.scale = inner**-0.5 / _TEMPERATURE

    def forward(self, x: Tensor) -> Tensor:
        value = to_rows(self.value(x)).transpose(1, 2)
        query, key = _whiten(self.query(x)) * self.scale, _whiten(self.key(x))
        pairwise = to_rows(query).transpose(1, 2) @ to_rows(key)  # (N, H·W, H·W)
        unary = to_rows(self.unary(x))  # (N, 1, H·W)
        read = pairwise.softmax(2) @ value + unary.softmax(2) @ value
        out: Tensor = x + self.project(to_map(read.transpose(1, 2), x))
        return out


def _whiten(x: Tensor) -> Tensor:
    return x - functional.adaptive_avg_pool2d(x, 1)


class DNLNet(ContextSegmenter):
    """See `ContextSegmenter`."""

    def __init__(self, num_classes: int = 19, width: float = 1.0, in_channels: int = 3) -> None:
        super().__init__(DisentangledNonLocal, num_classes, width, in_channels)


def dnlnet_resnet50(*, num_classes: int = 19, width: float = 1.0, in_channels: int = 3) -> DNLNet:
    """DNLNet on ResNet-50-D."""
    return DNLNet(num_classes, width, in_channels)
