"""Operators on masks: tensors with some meaningless values, far from all others.

Attention adds minus infinity, the least float or -10,000 to scores that shall not count. One range for both kinds of
values has no codes left for the scores; so what reads or writes such a tensor stays in float, however it is masked.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from tinyint.graph.flow import is_epilogue, range_source, settled
from tinyint.graph.names import name_of
from tinyint.graph.ops import Kind, data_inputs, facts, kind_of
from tinyint.graph.walk import constant_of
from tinyint.numbers.observers import Summary
from tinyint.quantization.calibration import CalibrationRecord

__all__ = ["masking"]

_FAR = 5000.0  # less than the least mask in use (-10,000, for float16), with a score added to it
_GAP = 8.0  # how many times as large as the largest other value
_SHARE = 1 / 256  # of the values; what is rarer is an outlier, which ranges can clip
_SPAN = 64.0  # of what Softmax reads: a step of a quarter is off by a quarter in its result


def masking(graph: ir.Graph, record: CalibrationRecord) -> dict[str, str]:
    """Masking nodes that stay in float, by name, each with the reason."""
    masks = _scores(graph, record)
    masks |= {name: told for name, summary in record.summaries.items() if (told := _mask(summary))}
    found: dict[str, str] = {}
    for node in graph:
        row = facts(node)
        if row is None or is_epilogue(node):
            continue
        for i, value in (*data_inputs(node), *((None, value) for value in node.outputs)):
            array = constant_of(value)
            if array is not None:
                told = None if i == row.weight else _mask_constant(array)
            else:
                told = masks.get(name_of(range_source(settled(value))))
            if told:
                found.setdefault(name_of(node), f"{value.name!r} {told}")
    return found


def _mask(summary: Summary) -> str | None:
    """What makes the tensor a mask, if it is one."""
    if summary.infinite:
        return "holds a mask: infinite values"
    edges, counts = summary.histogram.trimmed()
    used = np.flatnonzero(counts)
    left, right = edges[used], edges[used + 1]
    return _told(np.where(left < 0, -right, left), np.where(left < 0, -left, right), counts[used], summary.lo)


def _mask_constant(array: np.ndarray) -> str | None:
    values = array.astype(np.float64).ravel()
    if not np.isfinite(values).all():
        return "holds a mask: infinite values"
    sizes = np.abs(values)
    return _told(sizes, sizes, np.ones(sizes.size, np.int64), values.min(initial=0.0))


def _told(least: np.ndarray, most: np.ndarray, counts: np.ndarray, lo: float) -> str | None:
    """Of values in bins of |x|, from `least` to `most`: whether a fair share lies far beyond the others."""
    order = np.argsort(least, kind="stable")
    least, most, counts = least[order], np.maximum.accumulate(most[order]), counts[order]
    beyond = (least[1:] >= _FAR) & (least[1:] >= _GAP * most[:-1])
    if not beyond.any():
        return None
    first = int(np.argmax(beyond)) + 1
    if counts[first:].sum() < _SHARE * counts.sum():
        return None
    size = -least[first] if lo <= -least[first] else least[first]
    return f"holds a mask: values around {size:.0e} beside others under {most[first - 1]:.2g}"


def _scores(graph: ir.Graph, record: CalibrationRecord) -> dict[str, str]:
    """Scores of a Softmax under a near mask, or one unused in calibration."""
    found: dict[str, str] = {}
    for node in graph:
        value = node.inputs[0] if node.op_type == "Softmax" else None
        if value is None or facts(node) is None:
            continue
        source = range_source(settled(value))
        summary = record.summaries.get(name_of(source))
        if summary is not None and summary.samples and summary.hi - summary.lo > _SPAN:
            span = summary.hi - summary.lo
            found[name_of(source)] = (
                f"is read by Softmax and spans {span:.0f}, too much for 8 bits, masked or not"
            )
        elif _adds_integers(source.producer()):
            found[name_of(source)] = (
                "holds a mask: it is computed from integers and added to what Softmax reads"
            )
    return found


def _adds_integers(node: ir.Node | None) -> bool:
    return node is not None and node.op_type in ("Add", "Sub") and any(map(_from_integers, node.inputs))


def _from_integers(value: ir.Value | None) -> bool:
    """Whether the tensor is computed from integers or booleans that are inputs, without weights: a mask of them."""
    inputs, open_, seen = 0, [value], set[str]()
    while open_:
        value = open_.pop()
        if value is None or constant_of(value) is not None or name_of(value) in seen:
            continue
        seen.add(name_of(value))
        producer = value.producer()
        if producer is None:
            if value.dtype is None or value.dtype.is_floating_point():
                return False
            inputs += 1
        elif kind_of(producer) is Kind.COMPUTE or _looks_up(producer):
            return False
        else:
            open_.extend(producer.inputs)
    return inputs > 0


def _looks_up(node: ir.Node) -> bool:
    """Whether the node takes rows of a table of weights, as embeddings do."""
    table = constant_of(node.inputs[0]) if node.op_type == "Gather" else None
    return table is not None and table.dtype.kind == "f"
