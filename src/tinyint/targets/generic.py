"""Plain Q/DQ graph for any ONNX tool, without changes for a runtime's fusions."""

from __future__ import annotations

from dataclasses import replace

from tinyint.targets.cpu import ANY
from tinyint.targets.ort import ORT

GENERIC = replace(
    ORT,
    name="generic",
    cpu=ANY,
    summary="plain Q/DQ for any runtime: Relu and Clip stay where they are; checked on ONNX Runtime",
    clamps_absorbed=False,
    sources=("ONNX operator specification, QuantizeLinear and DequantizeLinear",),
)
