"""OpenVINO on x86 CPUs, reading Q/DQ ONNX."""

from __future__ import annotations

from dataclasses import replace

from tinyint.targets.target import OperatorRule
from tinyint.targets.x86 import CPU_OPERATORS, X86_VNNI

_MEASURED = "measured with OpenVINO 2026.4.1: tests/runtimes/test_backend_facts.py"

OPENVINO = replace(
    X86_VNNI,
    name="openvino",
    runtime="openvino",
    summary="OpenVINO on x86: uint8 activations, int8 weights per channel, no quantizer inside SiLU",
    operators={
        **CPU_OPERATORS,
        "ConvTranspose": OperatorRule(weight_axis=(1,), source=f"{_MEASURED}: axis 0 runs in float"),
    },
    dynamic=frozenset(),
    sources=(
        f"{_MEASURED}: int8 activations give wrong values behind Concat, uint8 ones do not",
        f"{_MEASURED}: weights must be int8 with zero-point 0",
    ),
)
