"""How far outputs are from others, and which outputs are fit to be compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from tinyint.quantization.trial import JUMPS

Outputs = list[dict[str, NDArray[Any]]]


def sqnr(expected: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> float:
    """dB; inf where all are equal."""
    signal = sum(float((a.astype(np.float64) ** 2).sum()) for a in expected)
    noise = sum(
        float(((a.astype(np.float64) - b.astype(np.float64)) ** 2).sum())
        for a, b in zip(expected, found, strict=True)
    )
    if noise == 0:
        return np.inf
    return float(10 * np.log10(signal / noise)) if signal else -np.inf


def smooth(graph: onnx.GraphProto) -> list[str]:
    """The float outputs that no operator with jumps is after, be it in the body of a loop."""
    rough: set[str] = set()
    for node in graph.node:
        if rough.intersection(node.input) or _jumps(node):
            rough.update(node.output)
    return [
        v.name for v in graph.output if v.name not in rough and v.type.tensor_type.elem_type in (1, 10, 11)
    ]


def _jumps(node: onnx.NodeProto) -> bool:
    to_integers = node.op_type == "Cast" and node.attribute[0].i not in (1, 10, 11)
    inside = (inner for attribute in node.attribute for inner in attribute.g.node)
    return node.op_type in JUMPS or to_integers or any(_jumps(inner) for inner in inside)


def compare(expected: Outputs, wanted: Outputs, found: Outputs, names: Iterable[str]) -> str:
    """What is wrong where `found` is more than 1 dB farther from float than `wanted`, and more than rounding away.

    Beyond 45 dB the rounding of float32 and ties are what differs. So they are where the root mean square of the
    deviations is below 1 LSB (1/255 of the range): a tie in an inner tensor moves single elements, by its own steps.
    """
    for name in names:
        floats, theirs, ours = (
            [o[name].astype(np.float64) for o in outputs] for outputs in (expected, wanted, found)
        )
        if not any(a.any() for a in floats):
            continue  # of nothing, any deviation is infinitely much
        wanted_db, found_db = sqnr(floats, theirs), sqnr(floats, ours)
        if found_db >= min(wanted_db - 1, 45):
            continue
        span = max(0, *(a.max() for a in theirs)) - min(0, *(a.min() for a in theirs))
        off = np.concatenate([np.abs(a - b).ravel() for a, b in zip(theirs, ours, strict=True)])
        lsb = span / 255
        if np.sqrt(np.mean(off**2)) > lsb:
            most = off.max() / lsb if lsb else np.inf
            return f"{name}: {found_db:.1f} dB for {wanted_db:.1f}, off by up to {most:.1f} LSB"
    return ""
