"""OpenVINO on x86 CPUs, reading Q/DQ ONNX."""

from __future__ import annotations

from dataclasses import replace

from tinyint.graph.ops import COMPARISONS
from tinyint.numbers.granularity import PerAxis
from tinyint.numbers.numerics import INT8, UINT8
from tinyint.numbers.scheme import Scheme
from tinyint.targets.cpu import AVX2, VNNI
from tinyint.targets.packing import Packing
from tinyint.targets.target import Kernel, OperatorRule, Output, Target, Weightless
from tinyint.targets.window import Window

_MEASURED = "measured with OpenVINO 2026.4.1: tests/runtimes/facts"

# A quantizer after an operator that only moves values costs a requantizing kernel, even between equal scales.
_moved = OperatorRule(output=Output.TRANSPARENT, tied=True, source=f"{_MEASURED}: 0.86 against 0.91 ms")
_MOVERS = (
    "Concat", "MaxPool", "GlobalMaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather",
    "Resize", "Split", "Expand", "DepthToSpace",
)  # fmt: skip

# oneDNN pads the inputs of each kernel position, except in its kernels for few inputs per group
# (jit_uni_x8s8s32x_conv_kernel.cpp, gemm_x8s8s32x_convolution.cpp, jit_brgemm_conv_utils.cpp).
_CONVOLVED = (Packing.BY_POSITION, Packing.FLAT, Packing.COLUMNS)

_SYMMETRIC = Scheme(qtype=INT8, symmetric=True)

_gemm = OperatorRule(
    output=Output.OPTIONAL,
    any_format=True,
    joined_along=-1,
    joined=_SYMMETRIC,
    packings=(Packing.FLAT,),
    kernel=Kernel.RESCALED,
    uneven_bias=8,
    source=f"{_MEASURED}: with weights in int8, whatever follows; it does not load after a Concat along another "
    "axis than the last, unless zero-points are 0; up to 8 rows before a quantizer are garbage where one thread runs "
    "them with VNNI, unless there is a bias whose numbers differ",
)
_product = replace(
    _gemm,
    weightless=Weightless.PRESET,
    operands=_SYMMETRIC,
    source=f"{_MEASURED}: of two activations in int8 only under zero-points of 0; "
    "attention over 1024 positions then 7.7 ms, 18 in float, and 21 with other zero-points",
)
_averaged = OperatorRule(kernel=Kernel.RANGED_MEAN, source=f"{_MEASURED}: pools and reduces in int8")
_elementwise = OperatorRule(
    source=f"{_MEASURED}: reads and writes bytes, by itself or as a step of the convolution before it"
)
_activation = OperatorRule(
    fused=True,
    source=f"{_MEASURED}: a step of the convolution before it; with a quantizer between them, often in float",
)
_compared = OperatorRule(preset=False, source=f"{_MEASURED}: reads the bytes of both sides")

_NO_KERNEL = "OpenVINO runs it in float on the CPU"

OPENVINO = Target(
    name="openvino",
    runtime="openvino",
    cpu=VNNI,
    summary="OpenVINO on x86 with VNNI: uint8 activations, int8 weights per channel, none after what moves values",
    activation=Scheme(qtype=UINT8, symmetric=False),
    weight=Scheme(qtype=INT8.narrow(), symmetric=True, granularity=PerAxis(0)),
    clamps_absorbed=True,
    int32_bias=True,
    operators={
        "Conv": OperatorRule(
            output=Output.ON_DEMAND,
            joined_along=1,
            packings=_CONVOLVED,
            kernel=Kernel.RESCALED,
            needs_bias=True,
            windows={
                Window.COLUMN: "is wrong with AVX-512 for a result of one column, in groups of one channel in and "
                "several out",
                Window.OUTSIDE: "ends the process where a thread has only windows of padding",
            },
            source=f"{_MEASURED}: runs in int8 with or without a quantizer after it, depthwise as well, but in float "
            "after a Concat along another axis than the channels; the quantizer gives zeros where others read the "
            "result too, a size is open, and there is no bias",
        ),
        "ConvTranspose": OperatorRule(
            grouped=False,
            windows={Window.GAPS: "leaves out the bias where its strides leave places to no window"},
            operands=_SYMMETRIC,
            any_format=True,
            weight_axis=1,
            packings=_CONVOLVED,
            source=f"{_MEASURED}: in int8 only under a zero-point of 0, with scales along axis 1, and not in groups",
        ),
        "Gemm": _gemm,
        "MatMul": _product,
        "Add": replace(_elementwise, kernel=Kernel.ONTO_PRODUCT),
        "Sub": _elementwise,
        **dict.fromkeys(("Sigmoid", "LeakyRelu"), _activation),
        "Mul": OperatorRule(source=f"{_MEASURED}: reads and writes bytes, but floats from two convolutions"),
        "AveragePool": replace(
            _averaged,
            windows={
                Window.DILATED: "has no dilations",
                Window.PADDING_COUNTED_UP: "has no ceil_mode",
                Window.PADDING_COUNTED: "takes bytes of 0 for the zeros of padding, whatever the zero-point",
                Window.ROUNDED_UP: "has no ceil_mode",
            },
            least=16,
            source=f"{_MEASURED}/test_pools.py: in int8, but for what the notes say",
        ),
        **dict.fromkeys(("GlobalAveragePool", "ReduceMean"), _averaged),
        **dict.fromkeys(_MOVERS, _moved),
        **dict.fromkeys(COMPARISONS, _compared),
    },
    quantizer=Kernel.RANGED,
    left_float={
        **dict.fromkeys(("Softmax", "Pad", "Tile", "SpaceToDepth", "Resize (linear)"), _NO_KERNEL),
        **dict.fromkeys(("ArgMax", "ArgMin"), "OpenVINO runs it as TopK, in float"),
    },
    misreads_points=True,
    misreads_gathers=True,
    stored_weights="a Gemm or MatMul over 32 elements or more quantizes what it multiplies as it runs, in groups of "
    "32, unless OpenVINO is told DYNAMIC_QUANTIZATION_GROUP_SIZE=0; other arithmetic is float",
    sources=(
        "kernels: openvino, src/plugins/intel_cpu/src/dnnl_postops_composer.cpp and nodes/fake_quantize.cpp; held to "
        "the bit by tests/qat/kernels/test_formulas.py",
        f"{_MEASURED}: int8 activations give wrong values after Concat on processors without AMX, uint8 ones do not",
        f"{_MEASURED}: weights must be int8 with zero-point 0",
        f"{_MEASURED}/test_points.py: convolutions of one place with stored weights, beside a Transpose or a Reshape",
        f"{_MEASURED}/test_resize.py: Resize ignores antialias",
        "seen with OpenVINO 2026.4.1 under glibc's MALLOC_CHECK_=3: a Resize of open sizes damages memory in some "
        "runs",
        f"{_MEASURED}/test_gathers.py: Gather after an int8 product, or by a number or a matrix of indices after "
        "arithmetic with constants",
    ),
)

OPENVINO_AVX2 = replace(
    OPENVINO,
    name="openvino-avx2",
    cpu=AVX2,
    summary="OpenVINO on x86 without VNNI: as openvino, with weights whose pair sums fit into 16 bits",
    operators={
        **OPENVINO.operators,
        "MatMul": replace(_gemm, source=f"{_MEASURED}: with weights in int8, whatever follows"),
    },
    stored_weights=Target.stored_weights,
    left_float={
        **OPENVINO.left_float,
        "MatMul of two activations": "OpenVINO's int8 product of two activations saturates without VNNI, or is zero",
    },
    sources=(
        f"{_MEASURED}: which weights are added in pairs that saturate, under signed activations as under unsigned",
        *OPENVINO.sources,
    ),
)
