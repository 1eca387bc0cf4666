"""OpenVINO on x86 CPUs, reading Q/DQ ONNX."""

from __future__ import annotations

from dataclasses import replace

from tinyint.targets.target import OperatorRule, Output, Weightless
from tinyint.targets.x86 import COMPARISONS, X86_VNNI

_MEASURED = "measured with OpenVINO 2026.4.1: tests/runtimes/test_backend_facts.py"

# A quantizer behind an operator that only moves values becomes a requantizing kernel, even between equal scales.
_moved = OperatorRule(output=Output.TRANSPARENT, tied=True, source=f"{_MEASURED}: 0.86 against 0.91 ms")
_MOVERS = (
    "Concat", "MaxPool", "GlobalMaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather",
    "Resize", "Split", "Expand", "DepthToSpace",
)  # fmt: skip

_product = OperatorRule(
    output=Output.OPTIONAL,
    weightless=Weightless.ON_REQUEST,
    source=f"{_MEASURED}: attention with int8 products of activations 0.48 ms, with float ones 0.40",
)
_averaged = OperatorRule(source=f"{_MEASURED}: pools and reduces in int8")
_elementwise = OperatorRule(
    source=f"{_MEASURED}: reads and writes bytes, by itself or as a step of the convolution before it"
)
_compared = OperatorRule(preset=False, source=f"{_MEASURED}: reads the bytes of both sides")

_NO_KERNEL = "OpenVINO runs it in float on the CPU"

OPENVINO = replace(
    X86_VNNI,
    name="openvino",
    runtime="openvino",
    summary="OpenVINO on x86: uint8 activations, int8 weights per channel, no quantizer behind what moves values",
    operators={
        "Conv": OperatorRule(
            source=f"{_MEASURED}: runs in int8 with or without a quantizer behind it, depthwise as well"
        ),
        "ConvTranspose": OperatorRule(weight_axis=(1,), source=f"{_MEASURED}: axis 0 runs in float"),
        "Gemm": _product,
        "MatMul": _product,
        **dict.fromkeys(("Add", "Sub", "Sigmoid", "LeakyRelu"), _elementwise),
        "Mul": OperatorRule(source=f"{_MEASURED}: reads and writes bytes, but floats from two convolutions"),
        **dict.fromkeys(("AveragePool", "GlobalAveragePool", "ReduceMean"), _averaged),
        **dict.fromkeys(_MOVERS, _moved),
        **dict.fromkeys(COMPARISONS, _compared),
    },
    left_float={
        **dict.fromkeys(("Softmax", "Pad", "Tile", "SpaceToDepth", "Resize (linear)"), _NO_KERNEL),
        **dict.fromkeys(("ArgMax", "ArgMin"), "OpenVINO runs it as TopK, in float"),
    },
    dynamic=frozenset(),
    sources=(
        f"{_MEASURED}: int8 activations give wrong values behind Concat on processors without AMX, uint8 ones do not",
        f"{_MEASURED}: weights must be int8 with zero-point 0",
    ),
)
