"""ONNX Runtime on 64-bit ARM."""

from __future__ import annotations

from dataclasses import replace

from tinyint.numbers.numerics import INT8
from tinyint.numbers.scheme import Scheme
from tinyint.targets.cpu import ARM
from tinyint.targets.ort import ORT

ARM64 = replace(
    ORT,
    name="arm64",
    cpu=ARM,
    summary="ONNX Runtime on ARM64: int8 activations and weights, the operands of SDOT and of the packed kernels",
    activation=Scheme(qtype=INT8, symmetric=False),
    sources=(
        "onnxruntime PR 9902: dispatch of S8S8 to SDOT",
        "onnxruntime PRs 9655 and 9772: symmetric weights for the packed convolution and depthwise kernels",
    ),
)
