"""OpenVINO on x86 CPUs, reading Q/DQ ONNX."""

from __future__ import annotations

from dataclasses import replace

from tinyint.targets.target import OperatorRule, Output, Weightless
from tinyint.targets.x86 import CPU_OPERATORS, X86_VNNI

_MEASURED = "measured with OpenVINO 2026.4.1: tests/runtimes/test_backend_facts.py"

# A quantizer behind an operator that only moves values becomes a requantizing kernel, even between equal scales.
_moved = OperatorRule(output=Output.TRANSPARENT, tied=True, source=f"{_MEASURED}: 0.86 against 0.91 ms")
_MOVERS = (
    "Concat",
    "MaxPool",
    "Reshape",
    "Flatten",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Slice",
    "Gather",
    "Resize",
)

_product = OperatorRule(
    output=Output.OPTIONAL,
    weightless=Weightless.ON_REQUEST,
    source=f"{_MEASURED}: attention with int8 products of activations 0.48 ms, with float ones 0.40",
)

OPENVINO = replace(
    X86_VNNI,
    name="openvino",
    runtime="openvino",
    summary="OpenVINO on x86: uint8 activations, int8 weights per channel, no quantizer behind what moves values",
    operators={
        **CPU_OPERATORS,
        **dict.fromkeys((*_MOVERS, "Split", "Expand"), _moved),
        "Gemm": _product,
        "MatMul": _product,
        "ReduceMean": OperatorRule(source=f"{_MEASURED}: runs in int8"),
        "ConvTranspose": OperatorRule(weight_axis=(1,), source=f"{_MEASURED}: axis 0 runs in float"),
    },
    left_float={
        key: why for key, why in X86_VNNI.left_float.items() if key not in ("ConvTranspose", "ReduceMean")
    },
    dynamic=frozenset(),
    sources=(
        f"{_MEASURED}: int8 activations give wrong values behind Concat on processors without AMX, uint8 ones do not",
        f"{_MEASURED}: weights must be int8 with zero-point 0",
    ),
)
