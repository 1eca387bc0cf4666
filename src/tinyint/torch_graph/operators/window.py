"""Windows of convolutions and pools: strides, dilations, and explicit or automatic padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from tinyint.torch_graph.operators.node import Node

__all__ = ["Window", "pad_space", "read_window"]


@dataclass(frozen=True)
class Window:
    """Sliding window over the spatial axes; its tuples have one entry per axis.

    * `pads`: (begin, end)
    * `auto`: NOTSET (then `pads` apply), VALID, SAME_UPPER or SAME_LOWER
    * `ceil`: whether an incomplete last window counts
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    auto: str
    ceil: bool

    @property
    def extents(self) -> tuple[int, ...]:
        """Span of the window on the input, with the gaps of dilations."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    def padding(self, sizes: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """(begin, end) of each axis for these spatial sizes, without the overhang."""
        if not self.auto.startswith("SAME"):
            return self.pads
        pads = []
        for size, stride, extent in zip(sizes, self.strides, self.extents, strict=True):
            total = max((-(-size // stride) - 1) * stride + extent - size, 0)
            less, more = total // 2, total - total // 2
            pads.append((less, more) if self.auto == "SAME_UPPER" else (more, less))
        return tuple(pads)

    def overhang(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Overhang of each axis: the part of the last window beyond the padded input."""
        overhangs = []
        for i, (size, (begin, end)) in enumerate(zip(sizes, self.padding(sizes), strict=True)):
            span = size + begin + end - self.extents[i]
            count = -(-span // self.strides[i]) if self.ceil else span // self.strides[i]
            if count * self.strides[i] >= size + begin:  # no window begins after the input
                count -= 1
            overhangs.append(max(count * self.strides[i] - span, 0))
        return tuple(overhangs)

    def symmetric(self, sizes: Sequence[int]) -> list[int] | None:
        """Padding per axis for torch; None if begin and end differ."""
        pads = self.padding(sizes)
        return [begin for begin, _ in pads] if all(begin == end for begin, end in pads) else None


def read_window(node: Node, kernel: Sequence[int]) -> Window:
    """Window of a node with a kernel of this size."""
    axes = len(kernel)
    auto = node.text("auto_pad", "NOTSET")
    pads = node.integers("pads") or [0] * (2 * axes)
    if auto == "VALID":
        pads = [0] * (2 * axes)
    return Window(
        kernel=tuple(kernel),
        strides=tuple(node.integers("strides") or [1] * axes),
        dilations=tuple(node.integers("dilations") or [1] * axes),
        pads=tuple(zip(pads[:axes], pads[axes:], strict=True)),
        auto=auto,
        ceil=bool(node.integer("ceil_mode")),
    )


def pad_space(x: Tensor, pads: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """Tensor with its last axes padded; negative padding cuts."""
    flat = [n for begin_end in reversed(list(pads)) for n in begin_end]
    return functional.pad(x, flat, value=value) if any(flat) else x
