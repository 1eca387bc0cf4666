"""ONNX Runtime on 64-bit ARM."""

from __future__ import annotations

from dataclasses import replace

from tinyint.targets.cpu import ARM
from tinyint.targets.ort import ORT
from tinyint.targets.target import Kernel

_MEASURED = "measured with onnxruntime 1.31.1 for AArch64 under QEMU: tests/runtimes/facts/test_arm.py"

ARM64 = replace(
    ORT,
    name="arm64",
    cpu=ARM,
    summary="ONNX Runtime on ARM64: uint8 activations, int8 weights per channel; every sum is exact",
    operators={**ORT.operators, "Add": replace(ORT.operators["Add"], kernel=Kernel.FIXED_POINT_SUM)},
    sources=(
        f"{_MEASURED}: weights within [-127, 127] are added exactly, with dot products and without",
        f"{_MEASURED}: without dot products, two products of -128 and -128 overflow 16 bits, which happens where both "
        "operands are int8 activations; of uint8 they do not",
        f"{_MEASURED}: an int8 range that starts at -127 does not keep -128 out, at which values below it saturate",
        f"{_MEASURED}: a Relu between a convolution and int8 codes leaves it in float; uint8 codes absorb it",
        "benchmarks/results/arm.json: UDOT for uint8 activations, SDOT for int8, UMMLA and SMMLA where there is i8mm",
        "kernels: as on x86, but Add in fixed point (onnxruntime, core/mlas/lib/qladd.cpp); held to the bit by "
        "benchmarks/arm/facts.py",
    ),
)
