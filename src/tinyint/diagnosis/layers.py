"""Layers of a quantized model: errors, times, ranges.

On few samples and one profile of each model, so that it costs little beside the proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from tinyint.data import Sample
from tinyint.diagnosis.causes import Cause
from tinyint.diagnosis.compare import Comparison, TensorComparison, compare_matched
from tinyint.diagnosis.layer_times import OTHERS, spent_by
from tinyint.diagnosis.matched import Matched
from tinyint.diagnosis.pairs import pair
from tinyint.diagnosis.ranges import tensor_ranges, weight_ranges
from tinyint.diagnosis.units import Unit, int8_units
from tinyint.errors import TinyintError
from tinyint.graph.flow import is_epilogue
from tinyint.graph.names import name_of
from tinyint.graph.ops import Kind, kind_of
from tinyint.graph.source import ModelSource
from tinyint.graph.walk import macs
from tinyint.proof.coverage import Coverage, computes
from tinyint.proof.layers import Layer, Layers
from tinyint.quantization.ptq import Quantized
from tinyint.runtimes import Feeds, Runtime

__all__ = ["MOST_SAMPLES", "layers_of"]

_FEWEST, MOST_SAMPLES = 2, 4
_ELEMENTS = 1 << 26
"""Most elements of tensors that are compared, but those of two samples."""


def layers_of(
    quantized: Quantized,
    coverage: Coverage,
    samples: Sequence[Sample] = (),
    *,
    int8_file: ModelSource | None = None,
    runtime: Runtime | None = None,
    feeds: Feeds | None = None,
    calls: int = 5,
    threads: int | None = None,
) -> Layers:
    """Layers of a quantization, with errors on the first few `samples`.

    * `int8_file`: the int8 model where it is written, which loads faster
    * `runtime`: profiles both models on `feeds`, in so many `calls`; None for no times

    What cannot be had is left out, and the notes say so.
    """
    prepared, int8 = quantized.prepared, quantized.model
    matched = Matched(prepared=prepared, int8=int8, pairs=pair(prepared.graph, int8.graph))
    summaries = {} if quantized.record is None else quantized.record.summaries
    tensors = tensor_ranges(matched, summaries)
    weights = weight_ranges(matched, quantized.before)
    plain = _Listing.of(matched, quantized, coverage)
    notes: list[str] = []
    compared = _compared(matched, plain, samples[: _how_many(quantized)], threads, notes)
    times = _times((prepared, int8_file or int8), plain, runtime, feeds, calls, threads, notes)
    rows = [_with_error(layer, compared, plain.weights_of(layer)) for layer in plain.layers]
    if times is not None:
        spent, int8_spent = times
        rows = [
            replace(r, float_ms=spent.get(r.name, 0.0), int8_ms=int8_spent.get(r.name, 0.0)) for r in rows
        ]
    own = {row.name: row.local_db for row in compared.rows}
    return Layers(
        rows=tuple(rows),
        tensors={name: replace(each, local_db=own.get(name)) for name, each in tensors.items()},
        weights={name: replace(each, local_db=own.get(name)) for name, each in weights.items()},
        samples=compared.samples,
        runtime=runtime.name if runtime is not None and times is not None else "",
        other_ms=None if times is None else (times[0].get(OTHERS, 0.0), times[1].get(OTHERS, 0.0)),
        notes=tuple(notes),
    )


def _how_many(quantized: Quantized) -> int:
    """Number of samples that keeps within `_ELEMENTS`, 2 to 4."""
    if quantized.record is None or not quantized.record.samples:
        return MOST_SAMPLES
    each = sum(summary.elements for summary in quantized.record.summaries.values()) / quantized.record.samples
    return int(min(max(_ELEMENTS / max(each, 1), _FEWEST), MOST_SAMPLES))


@dataclass(frozen=True, kw_only=True)
class _Listing:
    """Layers before anything is measured; `owner`: the layer of each node."""

    matched: Matched
    layers: tuple[Layer, ...]
    owner: Mapping[str, str]

    @classmethod
    def of(cls, matched: Matched, quantized: Quantized, coverage: Coverage) -> _Listing:
        graph, cost = matched.prepared.graph, macs(matched.prepared)
        rounded = {activation.name for activation in matched.pairs.activations}
        reasons = {node.name: node.reason for node in coverage.float_nodes}
        units = {unit.name: unit for unit in int8_units(matched)}
        within = {name: unit.name for unit in units.values() for name in unit.nodes}
        moving = {name for name in quantized.planned_int8 if name not in within}
        owner, layers = dict[str, str](), [*_inputs(graph, rounded)]
        for node in graph:
            name = name_of(node)
            unit = units.get(name)
            moves = name in moving and kind_of(node) is Kind.PRESERVING and computes(node)
            if unit is not None or (name not in within and (name in reasons or moves)):
                owner[name] = name
                layers.append(_layer(node, unit, reasons.get(name, ""), cost.get(name), rounded))
            elif (found := within.get(name) or _with_the_one_before(node, owner)) is not None:
                owner[name] = found
        readers: dict[str, list[str]] = {}
        for constant in matched.pairs.constants:
            if constant.kind == "weight":
                readers.setdefault(owner.get(constant.reader, constant.reader), []).append(constant.name)
        listed = tuple(replace(each, weights=tuple(readers.get(each.name, ()))) for each in layers)
        return cls(matched=matched, layers=listed, owner=owner)

    def weights_of(self, layer: Layer) -> tuple[str, ...]:
        """Weights and biases that the layer's nodes read."""
        own = {*layer.nodes}
        return tuple(c.name for c in self.matched.pairs.constants if c.reader in own)

    @property
    def unrounded(self) -> frozenset[str]:
        """Results of layers that no quantizer rounds, and both graphs have."""
        rounded = {activation.name for activation in self.matched.pairs.activations}
        in_int8 = {out.name for node in self.matched.int8.graph for out in node.outputs}
        return frozenset(
            layer.output for layer in self.layers if layer.output not in rounded and layer.output in in_int8
        )


def _layer(node: ir.Node, unit: Unit | None, reason: str, cost: int | None, rounded: set[str]) -> Layer:
    name = name_of(node)
    return Layer(
        name=name,
        op=node.op_type,
        precision="float" if reason else "int8",
        reason=reason,
        output=name_of(node.outputs[0]) if unit is None else unit.output,
        nodes=(name,) if unit is None else unit.nodes,
        macs=cost,
        inputs=tuple(_quantized_inputs(node, rounded)) if unit is None else unit.inputs,
    )


def _with_the_one_before(node: ir.Node, owner: Mapping[str, str]) -> str | None:
    """Layer of an epilogue's operator, which the runtime has fused it into."""
    before = node.inputs[0].producer() if is_epilogue(node) and node.inputs[0] is not None else None
    return None if before is None else owner.get(name_of(before))


def _inputs(graph: ir.Graph, rounded: set[str]) -> Iterator[Layer]:
    """Inputs of the model that are quantized."""
    for value in graph.inputs:
        if value.name in rounded:
            yield Layer(name=name_of(value), op="Input", precision="int8", output=name_of(value))


def _quantized_inputs(node: ir.Node, rounded: set[str]) -> Iterator[str]:
    yield from dict.fromkeys(
        value.name for value in node.inputs if value is not None and value.name in rounded
    )


def _compared(
    matched: Matched, listing: _Listing, samples: Sequence[Sample], threads: int | None, notes: list[str]
) -> Comparison:
    """Comparison of the tensors; empty without samples, or where it cannot be had."""
    nothing = Comparison(rows=(), unmatched=(), samples=0)
    if not samples:
        return nothing
    try:
        return compare_matched(matched, samples, also=listing.unrounded, threads=threads)
    except TinyintError as error:
        notes.append(f"the layers' errors were not measured: {error}")
        return nothing


def _times(
    models: tuple[ModelSource, ModelSource],
    listing: _Listing,
    runtime: Runtime | None,
    feeds: Feeds | None,
    calls: int,
    threads: int | None,
    notes: list[str],
) -> tuple[dict[str, float], dict[str, float]] | None:
    """Milliseconds by layer, of the float graph and of the int8 model."""
    if runtime is None or feeds is None:
        return None
    try:
        profiles = [runtime.profile(model, feeds, calls=calls, threads=threads) for model in models]
    except TinyintError as error:
        notes.append(f"the layers' times were not measured: {error}")
        return None
    float_spent, int8_spent = (spent_by(rows, listing.owner) for rows in profiles)
    return float_spent, int8_spent


def _with_error(layer: Layer, compared: Comparison, constants: Iterable[str]) -> Layer:
    rows = [row for row in compared.rows if row.name in {layer.output, *constants}]
    result = next((row for row in rows if row.name == layer.output), None)
    worst = min(rows, key=_badness, default=None)
    return replace(
        layer,
        local_db=None if result is None else result.local_db,
        cumulative_db=None if result is None else result.cumulative_db,
        cause="" if worst is None or worst.cause is Cause.FINE else worst.cause.value,
        detail="" if worst is None else _told(worst, layer),
    )


def _badness(row: TensorComparison) -> tuple[int, float]:
    """Causes of its own first, then what comes in, then those that are fine."""
    order = {Cause.FINE: 2, Cause.ACCUMULATED: 1}.get(row.cause, 0)
    return order, row.worst_db


def _told(row: TensorComparison, layer: Layer) -> str:
    return (
        row.detail if row.name == layer.output or not row.detail else f"{row.kind} {row.name}: {row.detail}"
    )
