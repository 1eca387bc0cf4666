"""Norms written in parts, whose nodes stay in float as a whole.

A norm divides a tensor by the root of a mean or sum of squares: RMSNorm, L2 norm, LayerNorm and InstanceNorm before
they are one operator. A square spans twice the bits of what is squared, so that 8 bits hold the largest alone, and
runtimes fuse a norm only where no quantizer stands inside.

    x → [- mean] → square → mean or sum → [+ epsilon, · constant, - mean²] → root → quotient with x → [· gamma + beta]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import onnx_ir as ir

from tinyint.graph.names import name_of
from tinyint.graph.walk import constant_of, consumers, sole_consumer

__all__ = ["norms"]

_PART = "part of a norm (a quotient by the root of a mean of squares), which runtimes fuse in float"
_SQUARE = "a square, which needs twice the bits of what is squared"

_SHAPED = {"Cast", "Expand", "Identity", "Reshape", "Squeeze", "Tile", "Unsqueeze"}
_MEANS = {"ReduceMean", "ReduceSum", "GlobalAveragePool"}
_ADJUSTED = {"Abs", "Add", "Clip", "Max", "Min", "Neg", "Relu", "Sub"}


class _Statistic(NamedTuple):
    """What has become of the squares: added up, under a root, below one."""

    added: bool = False
    rooted: bool = False
    inverse: bool = False


def norms(graph: ir.Graph) -> dict[str, str]:
    """Nodes of norms, and lone squares, each with the reason for float."""
    found: dict[str, str] = {}
    for node in graph:
        start = _squared(node)
        if start is None:
            continue
        if node.op_type == "Mul":
            found.setdefault(name_of(node), _SQUARE)
        found.update(dict.fromkeys((name_of(part) for part in _norm(node, start)), _PART))
    return found


def _squared(node: ir.Node) -> _Statistic | None:
    """What the node makes of the squares of its first input; None if it makes none."""
    if node.domain not in ("", "ai.onnx"):
        return None
    match node.op_type:
        case "Mul" if _same(*node.inputs):
            return _Statistic()
        case "Pow" if _number(node.inputs[1]) == 2.0:
            return _Statistic()
        case "ReduceSumSquare":
            return _Statistic(added=True)
        case "ReduceL2":
            return _Statistic(added=True, rooted=True)
    return None


def _same(a: ir.Value | None, b: ir.Value | None) -> bool:
    """Whether both hold the same computed values: one tensor, or two differences of the same ones."""
    if a is None or b is None or a is b:
        return a is b and constant_of(a) is None
    one, other = a.producer(), b.producer()
    return one is not None and other is not None and _differs_alike(one, other)


def _differs_alike(one: ir.Node, other: ir.Node) -> bool:
    return one.op_type == other.op_type == "Sub" and list(one.inputs) == list(other.inputs)


def _number(value: ir.Value | None) -> float | None:
    array = constant_of(value)
    return float(array.reshape(())) if array is not None and array.size == 1 else None


def _norm(square: ir.Node, start: _Statistic) -> set[ir.Node]:
    """All nodes of the norm that the square is for; none if it is for something else."""
    parts, quotients, pending = {square}, set[ir.Node](), [(square, start)]
    while pending:
        node, statistic = pending.pop()
        for reader, position in consumers(node.outputs[0]):
            after = _after(reader, position, statistic)
            if after is None:
                quotients.update({reader} if _is_quotient(reader, position, statistic) else ())
            elif reader not in parts:
                parts.add(reader)
                pending.append((reader, after))
    if not quotients:
        return set()
    centred = [value for node in (square, *quotients) for value in node.inputs]
    means = [value for node in parts if node.op_type == "Sub" for value in node.inputs]
    sides = {node for value in centred for node in _centre(value)} | {
        n for v in means for n in _square_of_mean(v)
    }
    return parts | quotients | sides | {node for quotient in quotients for node in _affine(quotient)}


def _after(reader: ir.Node, position: int, statistic: _Statistic) -> _Statistic | None:
    """The statistic after the reader; None if it ends there."""
    others = [value for i, value in enumerate(reader.inputs) if i != position and value is not None]
    constant = all(constant_of(value) is not None for value in others)
    match reader.op_type:
        case op if op in _SHAPED and position == 0:
            return statistic
        case op if op in _MEANS and position == 0 and not statistic.rooted:
            return statistic._replace(added=True)
        case op if op in _ADJUSTED and (constant or not statistic.rooted):
            return statistic
        case "Sqrt":
            return statistic._replace(rooted=True)
        case "Pow" if position == 0 and abs(_number(reader.inputs[1]) or 0.0) == 0.5:
            return _Statistic(statistic.added, True, (_number(reader.inputs[1]) or 0.0) < 0)
        case "Reciprocal":
            return statistic._replace(inverse=not statistic.inverse)
        case "Div" if constant or (position == 0 and not statistic.rooted):
            return statistic if position == 0 else statistic._replace(inverse=not statistic.inverse)
        case "Mul" if constant:
            return statistic
    return None


def _is_quotient(reader: ir.Node, position: int, statistic: _Statistic) -> bool:
    if not (statistic.added and statistic.rooted):
        return False
    return reader.op_type == ("Mul" if statistic.inverse else "Div") and (position == 1 or statistic.inverse)


def _centre(value: ir.Value | None) -> Iterator[ir.Node]:
    """Sub of a mean, and the computation of that mean."""
    node = None if value is None else value.producer()
    if node is not None and node.op_type == "Sub":
        mean = list(_mean(node.inputs[1]))
        yield from [node, *mean] if mean else ()


def _mean(value: ir.Value | None) -> Iterator[ir.Node]:
    """The nodes from a mean to the value, if it is one."""
    passed: list[ir.Node] = []
    node = None if value is None else value.producer()
    while node is not None and (node.op_type in _SHAPED or _is_scaled(node)) and node.inputs[0] is not None:
        passed.append(node)
        node = node.inputs[0].producer()
    if node is not None and node.op_type in _MEANS:
        yield from (*passed, node)


def _is_scaled(node: ir.Node) -> bool:
    return node.op_type in ("Div", "Mul") and constant_of(node.inputs[1]) is not None


def _square_of_mean(value: ir.Value | None) -> Iterator[ir.Node]:
    """Of a variance E[x²] - E[x]², the nodes of the latter."""
    node = None if value is None else value.producer()
    if node is not None and _squared(node) == _Statistic():
        mean = list(_mean(node.inputs[0]))
        yield from [node, *mean] if mean else ()


def _affine(quotient: ir.Node) -> Iterator[ir.Node]:
    """The constant factor and the constant summand after the quotient."""
    node = quotient
    for op_type in ("Mul", "Add"):
        reader = sole_consumer(node.outputs[0])
        if (
            reader is not None
            and reader.op_type == op_type
            and any(constant_of(v) is not None for v in reader.inputs)
        ):
            yield reader
            node = reader
