"""TensorRT 10 and 11 with explicit quantization; `tensorrt_rules` checks a model by NVIDIA's rules."""

from __future__ import annotations

from dataclasses import replace

from tinyint.graph.ops import COMPARISONS
from tinyint.numbers.granularity import PerAxis
from tinyint.numbers.numerics import INT8
from tinyint.numbers.scheme import Scheme
from tinyint.runtimes.tensorrt import build_commands
from tinyint.targets.cpu import GPU
from tinyint.targets.target import Inputs, OperatorRule, Output, Target, WeightAxis, Weightless
from tinyint.targets.tensorrt_rules import check

_PLACEMENT = "NVIDIA TensorRT documentation, Working with Quantized Types: Q/DQ placement recommendations"

_OPERATORS = "NVIDIA TensorRT Operator's Reference, data types"

_weighted = OperatorRule(
    output=Output.FORBIDDEN, source=f"{_PLACEMENT}: inputs of weighted layers, not their outputs"
)
_pooled = OperatorRule(source=f"{_PLACEMENT}: DQ before and Q after layers without weights")

TENSORRT = Target(
    name="tensorrt",
    runtime="tensorrt",
    cpu=GPU,
    summary="TensorRT: int8 with zero-point 0, quantizers before weighted layers and on the skip input of Add",
    activation=Scheme(qtype=INT8, symmetric=True),
    weight=Scheme(qtype=INT8.narrow(), symmetric=True, granularity=PerAxis(0)),
    clamps_absorbed=False,
    int32_bias=False,
    reads_bytes=False,
    operators={
        "Conv": _weighted,
        "ConvTranspose": OperatorRule(
            output=Output.FORBIDDEN,
            weight_axis=WeightAxis.PER_TENSOR,
            source="TensorRT issues 1694 and 2380: per-channel scales of deconvolutions are not supported",
        ),
        "Gemm": _weighted,
        "MatMul": OperatorRule(output=Output.FORBIDDEN, weightless=Weightless.PRESET, source=f"{_PLACEMENT}"),
        "Add": OperatorRule(
            output=Output.FORBIDDEN,
            inputs=Inputs.RESIDUAL,
            source=f"{_PLACEMENT}: quantize the residual input, so that Conv + Add + Relu fuse",
        ),
        "AveragePool": _pooled,
        "GlobalAveragePool": _pooled,
        "ReduceMean": replace(_pooled, preset=False, source=f"{_PLACEMENT}; {_OPERATORS} of Reduce: int8"),
        "Sub": replace(
            _pooled, preset=False, source=f"{_PLACEMENT}; {_OPERATORS} of ElementWise: int8 for SUB"
        ),
        "Concat": OperatorRule(
            tied=True, source="TensorRT issue 4366: unequal scales made the engine 30 % slower"
        ),
    },
    left_float={
        **dict.fromkeys(
            (
                "MaxPool",
                "Reshape",
                "Flatten",
                "Transpose",
                "Squeeze",
                "Unsqueeze",
                "Slice",
                "Gather",
                "Resize",
            ),
            "TensorRT moves the quantizer through it, so it needs none of its own",
        ),
        "Softmax": "TensorRT's SoftMax takes floats only",
        **dict.fromkeys(("ArgMax", "ArgMin"), "TensorRT runs it as TopK, which takes no int8"),
        **dict.fromkeys(COMPARISONS, "TensorRT's comparisons take no int8"),
    },
    check=check,
    build_commands=build_commands,
    sources=(
        "NVIDIA TensorRT documentation: only symmetric int8, zero-point 0",
        f"{_OPERATORS} of SoftMax, TopK and ElementWise: what stays in float",
        f"{_OPERATORS}: uint8 as the input of a network, which a Cast must read",
        "TensorRT-Model-Optimizer PR 510: biases stay float",
    ),
)
