"""Layers of a quantized model, as values: error, time, ranges; filled in by `diagnosis.layers`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Bins", "ChannelRanges", "Layer", "Layers", "TensorRange", "WeightRange"]


@dataclass(frozen=True, kw_only=True)
class Bins:
    """Histogram: bin i holds [start + i · width, start + (i + 1) · width)."""

    start: float
    width: float
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TensorRange:
    """Quantized activation: its codes, and what calibration saw.

    * `range`: what the codes can hold; `seen`: extrema in calibration, None without a record
    * `live`: range outside which readers tell no values apart; None where they tell all
    * `clipped`: share of the values seen that lie more than half a step beyond the range, but not those outside `live`
    """

    dtype: str
    scale: float
    zero_point: int
    range: tuple[float, float]
    seen: tuple[float, float] | None = None
    live: tuple[float, float] | None = None
    clipped: float | None = None
    bins: Bins | None = None
    local_db: float | None = None


@dataclass(frozen=True, kw_only=True)
class ChannelRanges:
    """Least and greatest weight of each output channel, or of each few neighbouring ones."""

    lo: tuple[float, ...]
    hi: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class WeightRange:
    """Quantized weight: its codes, and the ranges of its channels.

    * `limit`: the largest magnitude that the codes can hold in each channel, or one for all
    * `together`: neighbouring channels in each entry
    * `before`: of the float model, where repair steps changed the weight; `after`: of what was quantized
    """

    dtype: str
    channels: int
    together: int
    limit: tuple[float, ...]
    after: ChannelRanges
    before: ChannelRanges | None = None
    local_db: float | None = None


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Operator of the float graph, with the epilogues that its kernel takes in.

    * `nodes`: names of its nodes, the operator first; none for an input of the model
    * `precision`: in which it runs; `reason`: why in float
    * `macs`: multiply-adds of one sample; None for other operators
    * `inputs`, `output`, `weights`: names, under which `Layers` holds what is quantized
    * `local_db`: SQNR of the rounding of its result alone; `cumulative_db`: of the int8 model up to it
    * `cause`, `detail`: of the error of its result or its weights, whichever is worse off
    * `float_ms`, `int8_ms`: time in the runtime's profiles of both models
    """

    name: str
    op: str
    precision: Literal["int8", "float"]
    output: str
    nodes: tuple[str, ...] = ()
    reason: str = ""
    macs: int | None = None
    inputs: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    local_db: float | None = None
    cumulative_db: float | None = None
    cause: str = ""
    detail: str = ""
    float_ms: float | None = None
    int8_ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Layers in graph order, and their tensors by name.

    * `samples`: that the errors are of; 0 where there were none
    * `runtime`: of the profiles; "" without
    * `other_ms`: time of the float and of the int8 model that is no layer's: conversions, reshapes, changes of layout
    """

    rows: tuple[Layer, ...]
    tensors: Mapping[str, TensorRange] = field(default_factory=dict)
    weights: Mapping[str, WeightRange] = field(default_factory=dict)
    samples: int = 0
    runtime: str = ""
    other_ms: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
