"""GCNet: one global context for all positions (Cao et al. 2019, arXiv:1904.11492, Figure 4d)."""

from __future__ import annotations

from torch import Tensor, nn

from tinyint.extras.zoo.segmentation import ContextSegmenter, to_rows

__all__ = ["GCNet", "gcnet_resnet50"]


class GlobalContext(nn.Module):
    """Attention-weighted average over positions, transformed by a bottleneck and added to each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 4
        self.attention = nn.Conv2d(channels, 1, 1)
        self.transform = nn.Sequential(
            nn.Conv2d(channels, inner, 1),
            nn.LayerNorm((inner, 1, 1)),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        weights = to_rows(self.attention(x)).softmax(2)  # (N, 1, H·W)
        context = to_rows(x) @ weights.transpose(1, 2)  # (N, C, 1)
        out: Tensor = x + self.transform(context.unsqueeze(3))
        return out


class GCNet(ContextSegmenter):
    """See `ContextSegmenter`."""

    def __init__(self, num_classes: int = 19, width: float = 1.0, in_channels: int = 3) -> None:
        super().__init__(GlobalContext, num_classes, width, in_channels)


def gcnet_resnet50(*, num_classes: int = 19, width: float = 1.0, in_channels: int = 3) -> GCNet:
    """GCNet on ResNet-50-D."""
    return GCNet(num_classes, width, in_channels)
