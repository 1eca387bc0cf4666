"""The geometry that convolutions and poolings share: strides, dilations, and padding, explicit or automatic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from tinyint.torch_graph.operators.node import Node

__all__ = ["Window", "pad_space", "read_window"]


@dataclass(frozen=True)
class Window:
    """Sliding window over the spatial axes.

    Every tuple has one entry an axis, `pads` (begin, end).

    * `auto`: NOTSET (then `pads` hold), VALID, SAME_UPPER or SAME_LOWER
    * `ceil`: whether a last, incomplete window counts
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    auto: str
    ceil: bool

    @property
    def extents(self) -> tuple[int, ...]:
        """The span of the window on the input, holes included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    def padding(self, sizes: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """(begin, end) for these spatial sizes, without the excess of `ceil`."""
        if not self.auto.startswith("SAME"):
            return self.pads
        found = []
        for size, stride, extent in zip(sizes, self.strides, self.extents, strict=True):
            total = max((-(-size // stride) - 1) * stride + extent - size, 0)
            less, more = total // 2, total - total // 2
            found.append((less, more) if self.auto == "SAME_UPPER" else (more, less))
        return tuple(found)

    def overhang(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Overhang of the last window past the padded input."""
        found = []
        for i, (size, (begin, end)) in enumerate(zip(sizes, self.padding(sizes), strict=True)):
            span = size + begin + end - self.extents[i]
            count = -(-span // self.strides[i]) if self.ceil else span // self.strides[i]
            if count * self.strides[i] >= size + begin:  # a window must start on the input or before it
                count -= 1
            found.append(max(count * self.strides[i] - span, 0))
        return tuple(found)

    def symmetric(self, sizes: Sequence[int]) -> list[int] | None:
        """Padding per axis for torch; None if begin and end differ."""
        pads = self.padding(sizes)
        return [begin for begin, _ in pads] if all(begin == end for begin, end in pads) else None


def read_window(node: Node, kernel: Sequence[int]) -> Window:
    """The node's window, for a kernel of this size."""
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
    """`x` with its last axes padded; negative padding cuts."""
    flat = [n for begin_end in reversed(list(pads)) for n in begin_end]
    return functional.pad(x, flat, value=value) if any(flat) else x
