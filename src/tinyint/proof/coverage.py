"""Int8 coverage, read from the runtime's graph of the quantized model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from tinyint.errors import DependencyError
from tinyint.graph.edit import unnumbered
from tinyint.graph.names import name_of
from tinyint.graph.ops import Kind, facts, kind_of
from tinyint.graph.walk import macs, uncounted
from tinyint.metadata import METHOD
from tinyint.quantization.ptq import Quantized
from tinyint.runtimes import Executed, Runtime
from tinyint.runtimes.host import host

__all__ = ["Coverage", "FloatNode", "computes", "planned_coverage", "read_coverage"]

# They work on shapes and types, or rename what is there; in a float graph, only codes of pixels are dequantized.
_PLUMBING = {
    "Cast", "CastLike", "Constant", "ConstantOfShape", "DequantizeLinear", "Flatten", "Identity", "NonZero", "Range",
    "Reshape", "Shape", "Size", "Squeeze", "Unsqueeze",
}  # fmt: skip
# What the dynamic method makes of a product `name`.
_DYNAMIC_PARTS = ("integer", "cast", "scale", "scaled", "biased")


@dataclass(frozen=True, kw_only=True)
class FloatNode:
    """A node of the float graph that does not run in int8, and why."""

    name: str
    op: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Share of a quantized model that runs in int8.

    * `measured`: read back from the runtime; otherwise the plan stands in for it
    * `macs_int8`, `macs_planned`: shares, 0 to 1, of the float model's multiply-accumulates; None where some are not
      counted, of products whose shapes are unknown or which lie in bodies
    * `nodes_int8`, `nodes_float`: nodes of the float graph; clamps in int8, and what was merged, count in neither
    * `float_nodes`: in graph order
    * `notes`: what else there is to know; `warnings`: what the user should look at
    """

    measured: bool
    macs_int8: float | None
    macs_planned: float | None
    nodes_int8: int
    nodes_float: int
    float_nodes: tuple[FloatNode, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read_coverage(quantized: Quantized, runtime: Runtime) -> Coverage:
    """Opens the quantized model in `runtime` and reads its int8 coverage.

    Where the runtime is not installed, is TensorRT, whose engines are built elsewhere, or has other kernels on this
    machine than on the target's, the answer is the plan's. Raises ModelError if the runtime cannot load the model.
    """
    rows = _executed(quantized, runtime)
    if rows is not None:
        return _coverage(quantized, _Measured(quantized.prepared.graph, rows), runtime.name)
    what = runtime.name if quantized.target.cpu.runs_on(host()) else quantized.target.name
    why = f"not measured: {what} does not run here; the shares are those that were planned"
    return _coverage(quantized, _Planned(set(quantized.planned_int8)), runtime.name, why)


def planned_coverage(quantized: Quantized) -> Coverage:
    """Coverage of the plan, without a runtime."""
    why = "not verified, as asked: coverage is what was planned, not what a runtime did"
    return _coverage(quantized, _Planned(set(quantized.planned_int8)), quantized.target.runtime, why)


def _coverage(
    quantized: Quantized, ran: _Planned | _Measured, runtime: str, unmeasured: str | None = None
) -> Coverage:
    """`unmeasured`: why no runtime was asked."""
    int8 = [name_of(node) for node in quantized.prepared.graph if ran.in_int8(node)]
    float_nodes = tuple(_float_nodes(quantized, ran, runtime))
    cost = macs(quantized.prepared)
    macs_int8, macs_planned = _share(cost, set(int8)), _share(cost, set(quantized.planned_int8))
    shortfall = _shortfall(macs_int8, macs_planned, runtime)
    counted = not uncounted(quantized.prepared)
    return Coverage(
        measured=unmeasured is None,
        macs_int8=macs_int8 if counted else None,
        macs_planned=macs_planned if counted else None,
        nodes_int8=len(int8),
        nodes_float=len(float_nodes),
        float_nodes=float_nodes,
        notes=tuple(_notes(quantized, unmeasured)),
        warnings=shortfall,
    )


def _executed(quantized: Quantized, runtime: Runtime) -> Sequence[Executed] | None:
    if not quantized.target.cpu.runs_on(host()) or runtime.available() is None:
        return None
    try:
        return runtime.executed(quantized.model)
    except DependencyError:
        return None


class _Planned:
    """The plan in place of a runtime. Clamps go with the operator before them."""

    def __init__(self, planned: set[str]) -> None:
        self._planned = planned

    def in_int8(self, node: ir.Node) -> bool:
        return node.name in self._planned and kind_of(node) is not Kind.CLAMP

    def in_float(self, node: ir.Node) -> str | None:
        skipped = node.name in self._planned or kind_of(node) is Kind.CLAMP
        return None if skipped else node.op_type


class _Measured:
    """What the runtime's own graph says of each node of the float graph."""

    def __init__(self, graph: ir.Graph, rows: Sequence[Executed]) -> None:
        names = {name_of(node) for node in graph}
        self._int8: set[str] = set()
        self._float: dict[str, str] = {}  # operator that ran it
        self._merged: set[str] = set()  # into the operator that gave the row its name
        for row in rows:
            for i, source in enumerate(row.sources):
                name = _product(source, names)
                if row.int8:
                    self._int8.add(name)
                else:
                    self._float.setdefault(name, row.op)
                if i > 0:
                    self._merged.add(name)

    def in_int8(self, node: ir.Node) -> bool:
        if kind_of(node) is Kind.CLAMP or (facts(node) is None and node.name in self._merged):
            return False  # a step on the accumulators of an int8 kernel
        return node.name in self._int8

    def in_float(self, node: ir.Node) -> str | None:
        """Operator that ran the node in float.

        "" if none is known, None if there is nothing to tell.
        """
        name, kind = name_of(node), kind_of(node)
        if name in self._int8:
            return None
        if kind is Kind.CLAMP and (name in self._merged or name not in self._float):
            return None
        if kind is Kind.PRESERVING and name not in self._float:
            return None
        return self._float.get(name, "")


def _product(source: str, names: set[str]) -> str:
    """Float graph's node for `source`, a node of the quantized graph."""
    stem, _, part = source.rpartition("/")
    stem = unnumbered(stem, names)
    return stem if source not in names and part in _DYNAMIC_PARTS and stem in names else source


def _float_nodes(quantized: Quantized, ran: _Planned | _Measured, runtime: str) -> Iterator[FloatNode]:
    for node in quantized.prepared.graph:
        name, op = name_of(node), ran.in_float(node)
        if op is None or not computes(node):
            continue
        reason = quantized.float_nodes.get(name)
        if reason is None:
            how = (
                f"ran it in float as {op}"
                if op
                else "merged it into an operator that cannot be told to be int8"
            )
            reason = f"planned for int8, but {runtime} {how}"
        yield FloatNode(name=name, op=node.op_type, reason=reason)


def computes(node: ir.Node) -> bool:
    """Whether the node works on real numbers, or on an unknown type."""
    if node.op_type in _PLUMBING:
        return False
    values = [value for value in (*node.inputs, *node.outputs) if value is not None]
    return any(value.dtype is None or value.dtype.is_floating_point() for value in values)


def _share(cost: Mapping[str, int], names: set[str]) -> float:
    total = sum(cost.values())
    return sum(count for name, count in cost.items() if name in names) / total if total else 0.0


def _notes(quantized: Quantized, unmeasured: str | None) -> Iterator[str]:
    if quantized.model.metadata_props.get(METHOD) == "weight_only":
        yield f"weight-only: the weights are stored in integers; {quantized.target.stored_weights}, by design"
    if unmeasured is not None:
        yield unmeasured
    unknown = uncounted(quantized.prepared)
    if unknown:
        yield (
            f"{len(unknown)} products have shapes that cannot be inferred, or lie in bodies of If, Loop or Scan "
            f"({unknown[0].name!r} is the first); what share of the multiply-accumulates runs in int8 is unknown"
        )
    yield from map(str, quantized.target.check(quantized.model))


def _shortfall(macs_int8: float, macs_planned: float, runtime: str) -> tuple[str, ...]:
    if macs_int8 >= macs_planned - 1e-9:
        return ()
    return (
        f"{macs_int8:.1%} of the multiply-accumulates run in int8 on {runtime}, although {macs_planned:.1%} were "
        "planned; the list of float nodes says which ones fell back",
    )
