"""ONNX Runtime on x86: `x86-vnni` for processors with AVX-512 VNNI or AVX-VNNI, `x86-avx2` for those without."""

from __future__ import annotations

from dataclasses import replace

from tinyint.numerics import INT8, UINT8
from tinyint.scheme import Scheme
from tinyint.targets.cpu import AVX2, VNNI
from tinyint.targets.packing import Packing
from tinyint.targets.target import Kernel, OperatorRule, Output, Target, Weightless
from tinyint.targets.window import Window

_SELECTORS = "onnxruntime, optimizer/qdq_transformer/selectors_actions"
_MEASURED = "measured with onnxruntime 1.31.1: tests/runtimes/facts"

# Operators that only move values; Resize in its nearest mode.
MOVERS = (
    "MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather", "Resize", "Split",
    "Expand", "Tile", "DepthToSpace",
)  # fmt: skip
COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")

# Value-preserving operators run on the bytes, but only between equal scales.
_moved = OperatorRule(tied=True, source=f"{_SELECTORS}: DropQDQ; {_MEASURED}")
_unary = OperatorRule(source=f"{_SELECTORS}: UnaryNodeGroupSelector")
_binary = OperatorRule(source=f"{_SELECTORS}: BinaryNodeGroupSelector; both inputs must be quantized")
_on_request = replace(_unary, preset=False)

# MLAS lays the positions of a filter out one after the other, and the rows of a matrix in fours: qgemm_kernel_avx2.cpp,
# QgemmU8S8KernelAvx2.S, and QLinearConv's filter order.
_FLAT = (Packing.FLAT,)

CPU_OPERATORS = {
    "Conv": OperatorRule(
        packings=_FLAT,
        kernel=Kernel.MULTIPLIED,
        source=f"{_MEASURED}: a Conv with a float output runs as float FusedConv",
    ),
    "Gemm": OperatorRule(
        output=Output.OPTIONAL,
        weightless=Weightless.PRESET,
        packings=_FLAT,
        kernel=Kernel.MULTIPLIED,
        source="onnxruntime, QGemm contrib operator",
    ),
    "MatMul": OperatorRule(
        output=Output.OPTIONAL,
        weightless=Weightless.PRESET,
        packings=_FLAT,
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
        source=f"{_SELECTORS}: UnaryNodeGroupSelector; {_MEASURED}: overflows up to 1.31 where the range behind "
        "it is below 1.7 times the mean",
    ),
    "AveragePool": replace(
        _unary,
        kernel=Kernel.SHIFTED,
        windows={
            Window.DILATED: "has no dilations",
            Window.PADDING_COUNTED_UP: "divides windows that stand out of the padding by the whole kernel",
        },
        source=f"{_SELECTORS}: UnaryNodeGroupSelector; {_MEASURED}/test_pools.py",
    ),
    "GlobalAveragePool": replace(_unary, kernel=Kernel.SCALED_MEAN),
    "Concat": OperatorRule(tied=True, source="onnxruntime, QLinearConcat; with equal scales it copies bytes"),
    **dict.fromkeys(MOVERS, _moved),
    "ArgMax": OperatorRule(source=f"{_SELECTORS}: DropDQ; {_MEASURED}: it runs on the bytes"),
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

X86_VNNI = Target(
    name="x86-vnni",
    runtime="onnxruntime",
    cpu=VNNI,
    summary="ONNX Runtime on x86 with VNNI: uint8 activations, int8 weights per channel",
    activation=Scheme(qtype=UINT8, symmetric=False),
    weight=Scheme(qtype=INT8.narrow(), symmetric=True, axis=0),
    clamps_absorbed=True,
    int32_bias=True,
    operators=CPU_OPERATORS,
    left_float=_LEFT_FLOAT,
    dynamic=frozenset({"Gemm", "MatMul"}),
    sources=(
        "onnxruntime.ai/docs/performance/model-optimizations/quantization.html: U8S8 on x86",
        f"{_MEASURED}: an int8 activation that two Convs read leaves both in float, uint8 does not",
        "kernels: onnxruntime, core/mlas/lib: qgemm and requantize, qladd, qlmul, qlgavgpool; held to the bit by "
        "tests/qat/test_kernels.py",
    ),
)

X86_AVX2 = replace(
    X86_VNNI,
    name="x86-avx2",
    cpu=AVX2,
    summary="ONNX Runtime on x86 without VNNI: as x86-vnni, with weights whose pair sums fit into 16 bits",
    sources=(
        "Intel SDM, VPMADDUBSW: the sum of two u8·s8 products is cut to int16; 255 · 128 = 32,640 fits",
        f"{_MEASURED}: which weights are added in pairs",
        *X86_VNNI.sources,
    ),
)
