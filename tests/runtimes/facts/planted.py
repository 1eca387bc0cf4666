"""Which weights a runtime adds in pairs that saturate, seen by planting the largest ones at every two positions.

    python -m tests.runtimes.facts.planted onnxruntime

A program of its own, because a process chooses its kernels once: by ONEDNN_MAX_CPU_ISA, or by an emulated processor.
Activations and weights are whole numbers of scale 1.
"""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from tests.runtimes.graphs import Graph
from tinyint.graph.ops import layout_of
from tinyint.numbers.granularity import per_axis
from tinyint.numbers.numerics import INT8, QParams
from tinyint.quantization.weight_pairs import LimitedWeight
from tinyint.runtimes import get_runtime
from tinyint.targets import Packing, limited_target
from tinyint.targets.packing import ANY_TWO


@dataclass(frozen=True, kw_only=True)
class Kind:
    """An operator with weights: `shape` of one that has a single filter a group, in which `outputs` counts them.

    `signed`: its activations are int8, from -128 to 127.
    """

    op: str
    shape: tuple[int, ...]
    outputs: int  # the axis of `shape`
    x: tuple[int, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    signed: bool = False

    @property
    def lowest(self) -> int:
        """The lowest code of its activations."""
        return -128 if self.signed else 0

    @property
    def largest(self) -> int:
        """The largest code of its activations."""
        return self.lowest + 255

    @property
    def groups(self) -> int:
        return int(self.attributes.get("group", 1))

    @property
    def length(self) -> int:
        """Of a flattened filter."""
        return int(np.prod(self.shape)) // self.shape[self.outputs]

    def node(self) -> ir.Node:
        return ir.node(self.op, [], self.attributes)


def _conv(inputs: int, kernel: int, size: int, *, group: int = 1, rank: int = 2, stride: int = 1) -> Kind:
    return Kind(
        op="Conv",
        shape=(group, inputs, *[kernel] * rank),
        outputs=0,
        x=(1, inputs * group, *[size] * rank),
        attributes={"group": group, "strides": [stride] * rank, "pads": [kernel // 2] * rank * 2},
    )


def _transposed(inputs: int, kernel: int, stride: int) -> Kind:
    shape, x = (inputs, 1, kernel, kernel), (1, inputs, 7, 7)
    return Kind(op="ConvTranspose", shape=shape, outputs=1, x=x, attributes={"strides": [stride] * 2})


KINDS = {
    "conv 1x1": _conv(8, 1, 6),
    "conv 1x1, 5 inputs": _conv(5, 1, 14),
    "conv 3x3": _conv(4, 3, 8),
    "conv 3x3, 3 inputs": _conv(3, 3, 32, stride=2),
    "conv 3x3, 1 input": _conv(1, 3, 28),
    "conv 5x5, 1 input": _conv(1, 5, 28),
    "conv of rank 1": _conv(3, 3, 32, rank=1),
    "conv of rank 3": _conv(3, 2, 8, rank=3),
    "grouped conv, 2 inputs": _conv(2, 3, 14, group=4),
    "grouped conv, 3 inputs": _conv(3, 3, 14, group=2),
    "grouped conv, 1 input": _conv(1, 3, 14, group=4),
    "Gemm": Kind(op="Gemm", shape=(1, 9), outputs=0, x=(3, 9), attributes={"transB": 1}),
    "Gemm, one row": Kind(op="Gemm", shape=(8, 1), outputs=1, x=(1, 8)),
    "MatMul": Kind(op="MatMul", shape=(9, 1), outputs=1, x=(8, 9)),
    "MatMul of a batch": Kind(op="MatMul", shape=(8, 1), outputs=1, x=(2, 4, 8)),
    "deconv, 3 inputs": _transposed(3, 2, 1),
    "deconv, 8 inputs": _transposed(8, 3, 1),
}
SIGNED = {
    f"{name}, signed": replace(KINDS[name], signed=True)
    for name in ("conv 3x3", "Gemm", "MatMul", "deconv, 3 inputs", "deconv, 8 inputs")
}
DEPTHWISE = _conv(1, 3, 14, group=36)


def filters(kind: Kind, rows: np.ndarray) -> np.ndarray:
    """The weight with these filters, (N, inputs · kernel), N as many as the groups, or a multiple of it."""
    shape = list(kind.shape)
    shape[kind.outputs] = len(rows)
    weight = np.zeros(shape, rows.dtype)
    matrix = layout_of(kind.node()).matrix(weight)
    matrix[...] = rows.reshape(matrix.shape)
    return weight


def model(kind: Kind, weight: np.ndarray, step: float | None, bias: np.ndarray | None = None) -> bytes:
    """The operator on codes of scale 1; its output in codes of `step`, or in float."""
    g = Graph(*kind.x)
    dtype = "int8" if kind.signed else "uint8"
    x = g.quantized("x", scale=1.0, zero_point=0, dtype=dtype)
    inputs = [x, g._dequantized("w", weight, 1.0, kind.outputs, 0)]
    if kind.op == "Conv":
        bias = np.zeros(weight.shape[kind.outputs], np.int32) if bias is None else bias
        inputs.append(g._dequantized("b", bias, 1.0, 0, 0))
    y = g.add(kind.op, inputs, "op", **kind.attributes)
    return g.model(y if step is None else g.quantized(y, scale=step, zero_point=0, dtype=dtype))


def run(runtime: str, source: bytes, x: np.ndarray, **options: Any) -> np.ndarray:
    session = get_runtime(runtime).open(source, threads=1, **options)
    (y,) = session.run({"x": x.astype(np.float32)}).values()
    return y


def pairs_that_saturate(runtime: str, kind: Kind) -> list[tuple[int, int]]:
    """Positions of a flattened filter where two weights of 127, under the largest codes, do not give their sum."""
    length = kind.length
    pairs = list(itertools.combinations(range(length), 2))
    count = -(-len(pairs) // kind.groups) * kind.groups
    rows = np.zeros((count, length), np.int8)
    for row, pair in zip(rows, pairs, strict=False):
        row[list(pair)] = 127
    y = run(runtime, model(kind, filters(kind, rows), step=256.0), np.full(kind.x, kind.largest))
    channel = 1 if kind.op.startswith("Conv") else y.ndim - 1
    largest = np.moveaxis(y, channel, 0).reshape(count, -1).max(axis=1)
    return [pair for pair, value in zip(pairs, largest, strict=False) if value < 2 * 127 * kind.largest - 256]


def off_from_exact(runtime: str, kind: Kind, seed: int) -> float:
    """The largest distance to the exact sums of weights that know their pairs, the hardest among them.

    ONNX Runtime stores what a convolution gives in 8 bits: there the bias takes the sum away, which is the same at
    every place, since the activations of a channel are. Others give floats, in which the sums are exact.
    """
    rng = np.random.default_rng(seed)
    count = 4 * kind.groups
    rows = rng.standard_normal((count, kind.length)) * rng.choice([1.0, 30.0], (count, kind.length))
    rows[0], rows[-1] = 1.0, -1.0
    weight = filters(kind, np.asarray(rows, np.float32))
    channels = weight.shape[kind.outputs]
    scale = np.full(channels, np.abs(weight).max() / 127, np.float32)
    params = QParams(
        scale=scale, zero_point=np.zeros(channels), qtype=INT8.narrow(), granularity=per_axis(kind.outputs)
    )
    limited = LimitedWeight(kind.node(), weight, params, packings(runtime, kind.op))
    codes = limited.codes(limited.fitted())
    off = 0.0
    stored = runtime == "onnxruntime" and kind.op == "Conv"
    kind = replace(kind, attributes={key: v for key, v in kind.attributes.items() if key != "pads"})
    middle = kind.lowest + 128
    for x in (np.full(kind.x, kind.largest), kind.lowest + rng.choice([0, 100, 254, 255], kind.x)):
        if stored:
            x = np.broadcast_to(x[(..., *[slice(1)] * (x.ndim - 2))], kind.x)
        exact = run("onnxruntime", model(kind, codes, None), x, optimize=False)
        if stored:
            sums = exact.reshape(exact.shape[1], -1)[:, 0]
            bias = middle - sums.astype(np.int32)
            off = max(off, float(np.abs(run(runtime, model(kind, codes, 1.0, bias), x) - middle).max()))
        else:
            off = max(off, float(np.abs(run(runtime, model(kind, codes, None), x) - exact).max()))
    return off


def packings(runtime: str, op: str) -> tuple[Packing, ...]:
    """As the rule of the target without VNNI says; ANY_TWO for an operator without one."""
    target = limited_target(runtime)
    rule = None if target is None else target.operators.get(op)
    return ANY_TWO if rule is None else rule.packings


def main() -> None:
    (runtime,) = sys.argv[1:]
    kinds = {**KINDS, **SIGNED, "depthwise conv": DEPTHWISE}
    found = {
        name: {
            "pairs": pairs_that_saturate(runtime, kind),
            "off": max(off_from_exact(runtime, kind, s) for s in range(3)),
        }
        for name, kind in kinds.items()
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
