"""ONNX Runtime on x86: `x86-vnni` with AVX-512 VNNI or AVX-VNNI, `x86-avx2` without."""

from __future__ import annotations

from dataclasses import replace

from tinyint.targets.cpu import AVX2, VNNI
from tinyint.targets.ort import MEASURED, ORT
from tinyint.targets.packing import Packing

# MLAS stores the positions of a filter one after the other, and the rows of a matrix in groups of four
# (qgemm_kernel_avx2.cpp, QgemmU8S8KernelAvx2.S, QLinearConv's filter order).
_FLAT = (Packing.FLAT,)

X86_VNNI = replace(
    ORT,
    name="x86-vnni",
    cpu=VNNI,
    summary="ONNX Runtime on x86 with VNNI: uint8 activations, int8 weights per channel",
    operators={
        **ORT.operators,
        **{name: replace(ORT.operators[name], packings=_FLAT) for name in ("Conv", "Gemm", "MatMul")},
    },
    sources=(
        "onnxruntime.ai/docs/performance/model-optimizations/quantization.html: U8S8 on x86",
        f"{MEASURED}: an int8 activation that two Convs read leaves both in float, uint8 does not",
        "kernels: onnxruntime, core/mlas/lib: qgemm and requantize, qladd, qlmul, qlgavgpool; held to the bit by "
        "tests/qat/kernels/test_formulas.py",
    ),
)

X86_AVX2 = replace(
    X86_VNNI,
    name="x86-avx2",
    cpu=AVX2,
    summary="ONNX Runtime on x86 without VNNI: as x86-vnni, with weights whose pair sums fit into 16 bits",
    sources=(
        "Intel SDM, VPMADDUBSW: the sum of two u8·s8 products is cut to int16; 255 · 128 = 32,640 fits",
        f"{MEASURED}: which weights are added in pairs, under signed activations as under unsigned",
        *X86_VNNI.sources,
    ),
)
