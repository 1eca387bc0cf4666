"""Channels of a graph: shared factors, pinned channels, and the layers between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from tinyint.graph.names import name_of
from tinyint.graph.ops import layout_of
from tinyint.graph.walk import constant_of
from tinyint.quantization.repair.factors import FREE, Layer, Numbers

__all__ = ["Bias", "ChannelGraph", "ChannelTracer", "Channels", "Linear"]


class Channels(NamedTuple):
    """Channels of one tensor: their axis, and their numbers.

    The numbers have shape (size of that axis,).
    """

    axis: int
    numbers: Numbers


@dataclass(frozen=True, kw_only=True, eq=False)
class Linear:
    """Operator with constant weights, and the channels on both sides.

    In the form of `WeightLayout.matrix`.
    """

    node: ir.Node
    weight: ir.Value
    outputs: Numbers
    inputs: Numbers

    def layer(self) -> Layer:
        """Input of `equalizing_factors` for this operator."""
        array = constant_of(self.weight)
        assert array is not None
        weight = np.abs(layout_of(self.node).matrix(array.astype(np.float32, copy=False))).max(axis=3)
        inputs = self.inputs
        if len(inputs) == 1:  # the places of a flattened channel stand side by side
            starts = np.flatnonzero(np.diff(inputs[0], prepend=FREE) | (inputs[0] == FREE))
            weight, inputs = np.maximum.reduceat(weight, starts, axis=2), inputs[:, starts]
        return Layer(weight=weight, outputs=self.outputs, inputs=inputs)


@dataclass(frozen=True, kw_only=True, eq=False)
class Bias:
    """A constant that is added to channels, along an axis of its own."""

    value: ir.Value
    axis: int
    channels: Numbers


@dataclass(frozen=True, kw_only=True)
class ChannelGraph:
    """Channel groups and linear layers of a graph, for equalization.

    * `count`: channels that may get a factor, numbered from 0
    * `pinned`: by operator type, how many tensors keep their scale because one of that type reads or makes them
    """

    count: int
    linears: tuple[Linear, ...]
    biases: tuple[Bias, ...]
    pinned: Mapping[str, int]


@dataclass(kw_only=True)
class ChannelTracer:
    """Collects the parts of a `ChannelGraph`, node by node."""

    known: dict[str, Channels] = field(default_factory=dict)
    linears: list[Linear] = field(default_factory=list)
    biases: list[Bias] = field(default_factory=list)
    joined: list[tuple[Numbers, Numbers]] = field(default_factory=list)
    pins: list[tuple[Numbers, str | None]] = field(default_factory=list)
    count: int = 0

    def of(self, value: ir.Value | None) -> Channels | None:
        """The channels of a tensor, None for one that no factor can reach."""
        return None if value is None else self.known.get(name_of(value))

    def pin(self, value: ir.Value | None, why: str | None) -> None:
        """Keeps the tensor's scale, since an operator of type `why` touches it."""
        channels = self.of(value)
        if channels is not None:
            self.pins.append((channels.numbers, why))

    def join(self, left: Channels, right: Channels) -> bool:
        """The two have their factors in common; False if they don't lie alike."""
        if left.axis != right.axis or left.numbers.shape != right.numbers.shape:
            return False
        self.joined.append((left.numbers, right.numbers))
        return True

    def fresh(self, value: ir.Value, axis: int, size: int) -> Channels:
        """New channels for the tensor."""
        channels = Channels(axis, np.arange(self.count, self.count + size))
        self.count += size
        self.known[name_of(value)] = channels
        return channels

    def result(self) -> ChannelGraph:
        """All that was seen, with one number for channels that share a factor."""
        roots = _components(self.count, self.joined)
        pinned = np.zeros(self.count, bool)
        for numbers, _ in self.pins:
            pinned[roots[numbers]] = True
        left = np.flatnonzero((roots == np.arange(self.count)) & ~pinned)
        number = np.full(self.count + 1, FREE)  # the last is that of FREE itself
        number[left] = np.arange(left.size)
        number[:-1] = number[roots]
        reasons: dict[str, int] = {}
        for _, why in self.pins:
            if why is not None:
                reasons[why] = reasons.get(why, 0) + 1
        return ChannelGraph(
            count=int(left.size),
            linears=tuple(
                Linear(node=x.node, weight=x.weight, outputs=number[x.outputs], inputs=number[x.inputs])
                for x in self.linears
            ),
            biases=tuple(Bias(value=b.value, axis=b.axis, channels=number[b.channels]) for b in self.biases),
            pinned=reasons,
        )


def _components(count: int, joined: list[tuple[Numbers, Numbers]]) -> Numbers:
    """The smallest number that each one is joined with, (count,)."""
    labels = np.arange(count)
    if not joined:
        return labels
    left, right = (np.concatenate(side) for side in zip(*joined, strict=True))
    while True:
        before = labels.copy()
        least = np.minimum(labels[left], labels[right])
        for side in (left, right):
            np.minimum.at(labels, side, least)
            np.minimum.at(labels, before[side], least)
        labels = labels[labels]
        if np.array_equal(labels, before):
            return labels
