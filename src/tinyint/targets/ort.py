"""ONNX Runtime on any processor: its int8 fusions and the arithmetic of its kernels.

The targets on it (`x86`, `arm`, `generic`) add the facts that depend on the processor.
"""

from __future__ import annotations

from dataclasses import replace

from tinyint.graph.ops import COMPARISONS
from tinyint.numbers.granularity import PerAxis
from tinyint.numbers.numerics import INT8, UINT8
from tinyint.numbers.scheme import Scheme
from tinyint.targets.cpu import ANY
from tinyint.targets.target import Kernel, OperatorRule, Output, Target, Weightless
from tinyint.targets.window import Window

__all__ = ["MEASURED", "ORT"]

_SELECTORS = "onnxruntime, optimizer/qdq_transformer/selectors_actions"
MEASURED = "measured with onnxruntime 1.31.1 on x86: tests/runtimes/facts"

# The formulas of `kernel` are those of MLAS, tested to the bit on x86; `benchmarks/arm/facts.py` holds an emulated ARM
# to them, whose Add is another.

# Operators that only move values; Resize in its nearest mode.
MOVERS = (
    "MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather", "Resize", "Split",
    "Expand", "Tile", "DepthToSpace",
)  # fmt: skip

# Operators that preserve values run on the codes, but only between equal scales.
_moved = OperatorRule(tied=True, source=f"{_SELECTORS}: DropQDQ; {MEASURED}")
_unary = OperatorRule(source=f"{_SELECTORS}: UnaryNodeGroupSelector")
_binary = OperatorRule(source=f"{_SELECTORS}: BinaryNodeGroupSelector; both inputs must be quantized")
_on_request = replace(_unary, preset=False)

_OPERATORS = {
    "Conv": OperatorRule(
        kernel=Kernel.MULTIPLIED,
        source=f"{MEASURED}: a Conv with a float output runs as float FusedConv",
    ),
    "Gemm": OperatorRule(
        output=Output.OPTIONAL,
        weightless=Weightless.PRESET,
        kernel=Kernel.MULTIPLIED,
        source="onnxruntime, QGemm contrib operator",
    ),
    "MatMul": OperatorRule(
        output=Output.OPTIONAL,
        weightless=Weightless.PRESET,
        kernel=Kernel.MULTIPLIED,
        source="onnxruntime, MatMulIntegerToFloat and QGemm",
    ),
    "Add": replace(_binary, kernel=Kernel.AFFINE_SUM),
    "Mul": replace(_binary, kernel=Kernel.SCALED_PRODUCT),
    "Sigmoid": _unary,
    "LeakyRelu": _unary,
    "Softmax": replace(
        _on_request,
        overflow=2.0,
        source=f"{_SELECTORS}: UnaryNodeGroupSelector; {MEASURED}: overflows up to 1.31 where the range after "
        "it is below 1.7 times the mean",
    ),
    "AveragePool": replace(
        _unary,
        kernel=Kernel.SHIFTED,
        windows={
            Window.DILATED: "has no dilations",
            Window.PADDING_COUNTED_UP: "divides windows that stand out of the padding by the whole kernel",
        },
        source=f"{_SELECTORS}: UnaryNodeGroupSelector; {MEASURED}/test_pools.py",
    ),
    "GlobalAveragePool": replace(_unary, kernel=Kernel.SCALED_MEAN),
    "Concat": OperatorRule(tied=True, source="onnxruntime, QLinearConcat; with equal scales it copies bytes"),
    **dict.fromkeys(MOVERS, _moved),
    "ArgMax": OperatorRule(source=f"{_SELECTORS}: DropDQ; {MEASURED}: it runs on the bytes"),
}

_NO_KERNEL = "ONNX Runtime has no int8 CPU kernel for it"
_COMPARED = "ONNX Runtime compares floats only: the bytes are dequantized before it"
_LEFT_FLOAT = {
    **dict.fromkeys(
        ("ConvTranspose", "GlobalMaxPool", "Pad", "ReduceMean", "Resize (linear)", "SpaceToDepth", "Sub"),
        _NO_KERNEL,
    ),
    **dict.fromkeys(COMPARISONS, _COMPARED),
    "ArgMin": _NO_KERNEL,
}

ORT = Target(
    name="onnxruntime",
    runtime="onnxruntime",
    cpu=ANY,
    summary="what ONNX Runtime does on every processor",
    activation=Scheme(qtype=UINT8, symmetric=False),
    weight=Scheme(qtype=INT8.narrow(), symmetric=True, granularity=PerAxis(0)),
    clamps_absorbed=True,
    int32_bias=True,
    operators=_OPERATORS,
    left_float=_LEFT_FLOAT,
    dynamic=frozenset({"Gemm", "MatMul"}),
    requantizes=frozenset({"Conv", "ConvTranspose", "Gemm"}),
    resizes=frozenset({"nearest", "bilinear", "bicubic"}),  # tests/runtimes/facts/test_resize.py
    sources=(),
)
"""Base of the targets on ONNX Runtime; not a target itself."""
