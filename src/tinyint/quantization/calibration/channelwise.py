"""The outputs of the float graph from which the statistics of channels are updated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import onnx_ir as ir

from tinyint.graph.names import name_of
from tinyint.graph.walk import static_shape
from tinyint.numbers.numerics import Array
from tinyint.quantization.calibration.builder import GraphBuilder
from tinyint.quantization.calibration.patches import Patches
from tinyint.quantization.calibration.statistics import Request

__all__ = ["ChannelProbe", "observe_channels"]


@dataclass(frozen=True, kw_only=True)
class ChannelProbe:
    """Where the outputs tell of one statistic.

    * `parts`: the outputs that the statistic reduces the tensor to, samples along axis 0
    * `shape`: the output that tells what was reduced, (samples, channels, elements)
    """

    request: Request
    parts: tuple[str, ...]
    shape: str

    def read(self, found: Mapping[str, Array], row: int) -> list[Array]:
        """The parts of one sample."""
        return [found[name][row] for name in self.parts]

    def elements(self, found: Mapping[str, Array]) -> int:
        """Of one channel, in one sample."""
        return int(found[self.shape][2])


def observe_channels(
    graph: ir.Graph, builder: GraphBuilder, needs: AbstractSet[Request], *, by_sample: bool
) -> tuple[ChannelProbe, ...]:
    """Adds the requested statistics to the graph.

    Raises ValueError for a tensor that the graph does not have.
    """
    values = {name_of(value): value for value in _values(graph)}
    if missing := [str(need) for need in needs if need.tensor not in values]:
        raise ValueError(f"the graph has no such tensor: {missing[0]}")
    probes = []
    for need in sorted(needs, key=str):
        value, rank = values[need.tensor], len(static_shape(values[need.tensor]) or ())
        if not 0 < need.axis < rank:
            raise ValueError(
                f"tensor {need.tensor!r} of {rank} dimensions has no channels along axis {need.axis}"
            )
        if need.patches is not None:
            value = _unfolded(builder, value, need.patches)
        tensor = _by_channel(builder, value, need.axis, rank, by_sample=by_sample)
        parts = tuple(builder.output(part) for part in need.statistic.reduce(builder, tensor, need))
        probes.append(
            ChannelProbe(request=need, parts=parts, shape=builder.output(builder.node("Shape", [tensor])))
        )
    return tuple(probes)


def _unfolded(builder: GraphBuilder, value: ir.Value, patches: Patches) -> ir.Value:
    channels = (static_shape(value) or (None, None))[1]
    if channels is None:
        raise ValueError(f"tensor {name_of(value)!r} has an unknown number of channels")
    return patches.unfold(builder, value, channels)


def _by_channel(builder: GraphBuilder, value: ir.Value, axis: int, rank: int, *, by_sample: bool) -> ir.Value:
    """The tensor as (samples, channels, elements), with one row for all samples, or one for each."""
    first = [0, axis] if by_sample else [axis]
    order = [*first, *(i for i in range(rank) if i not in first)]
    if order != list(range(rank)):
        value = builder.node("Transpose", [value], perm=order)
    if by_sample:
        return builder.node("Reshape", [value, builder.integers(0, 0, -1)])
    rows = builder.node("Reshape", [value, builder.integers(0, -1)])
    return builder.node("Unsqueeze", [rows, builder.integers(0)])


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    for node in graph:
        yield from node.outputs
