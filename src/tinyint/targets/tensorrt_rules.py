"""Rules of TensorRT's explicit quantization, checked without a GPU.

Each rule names its source: [TRT] is NVIDIA's "Working with Quantized Types" (TensorRT developer guide), and numbers are
issues of github.com/NVIDIA/TensorRT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnx_ir as ir

from tinyint.graph.names import name_of
from tinyint.graph.ops import is_convolution, is_weighted
from tinyint.targets.violation import Violation

__all__ = ["check"]

# Fused into the convolution before them [TRT]; Mul stands for x · sigmoid(x).
_ACTIVATIONS = {
    "Clip",
    "Elu",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Mul",
    "Relu",
    "Sigmoid",
    "Tanh",
}


def check(model: ir.Model) -> list[Violation]:
    """Violations of TensorRT's rules of explicit quantization, in graph order."""
    violations = list(_opset(model))
    for node in model.graph:
        for rule in _RULES:
            violations += rule(node)
    return violations


def _opset(model: ir.Model) -> Iterator[Violation]:
    """Per-channel Q/DQ needs opset 13; float16 scales need opset 19 (ONNX operator changelog)."""
    opset = model.graph.opset_imports.get("", 0)
    half = any(
        n.op_type in ("QuantizeLinear", "DequantizeLinear") and _is_half(n.inputs[1]) for n in model.graph
    )
    needed = 19 if half else 13
    if opset < needed:
        text = f"opset {opset}; Q/DQ with {'float16 scales' if half else 'axes'} needs at least {needed}"
        yield Violation(backend="TensorRT", rule="opset", node="", message=text, fatal=True)


def _zero_point(node: ir.Node) -> Iterator[Violation]:
    """[TRT]: int8 only, with zero-point 0; the parser casts uint8, and refuses another zero-point."""
    if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
        return
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None:
        if node.op_type == "QuantizeLinear":  # ONNX's default is uint8
            yield _fatal("int8", node, "has no zero-point, so that it quantizes to uint8; give an int8 one")
        return
    zero_point = _constant(value)
    if zero_point is None:
        yield _fatal("zero_point", node, "computes its zero-point; it must be a constant")
    elif zero_point.dtype != np.int8 and not (zero_point.dtype == np.int32 and _feeds_bias(node)):
        yield _fatal("int8", node, f"has a zero-point of type {zero_point.dtype}; TensorRT takes int8")
    elif np.any(zero_point != 0):
        yield _fatal("zero_point", node, "has a zero-point other than 0")


def _scale(node: ir.Node) -> Iterator[Violation]:
    """[TRT]: scales are constants, finite and greater than 0."""
    if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
        return
    scale = _constant(node.inputs[1])
    if scale is None:
        yield _fatal(
            "scale", node, "computes its scale; it must be a constant (no dynamic quantization, #4698)"
        )
    elif not (np.isfinite(scale).all() and (scale > 0).all()):
        yield _fatal("scale", node, "has a scale that is not finite and greater than 0")


def _granularity(node: ir.Node) -> Iterator[Violation]:
    """[TRT]: activations per tensor; weights of Conv and ConvTranspose along axis 0 (#1694, #2380)."""
    if node.op_type == "QuantizeLinear" and _constant(node.inputs[0]) is None:
        scale = _constant(node.inputs[1])
        if scale is not None and scale.size > 1:
            yield _fatal("per_tensor", node, "quantizes an activation per channel; TensorRT takes one scale")
    if not is_convolution(node):
        return
    dequantize = _dequantize(node.inputs[1])
    scale = None if dequantize is None else _constant(dequantize.inputs[1])
    if dequantize is not None and scale is not None and scale.size > 1:
        axis = dequantize.attributes.get_int("axis", 1)
        if axis != 0:
            yield _fatal(
                "weight_axis", node, f"has weights quantized along axis {axis}; TensorRT's kernels want 0"
            )


def _bias(node: ir.Node) -> Iterator[Violation]:
    """A bias stays float (Model-Optimizer PR 510); TensorRT's parser has no int32 dequantization."""
    if is_weighted(node) and len(node.inputs) > 2 and _dequantize(node.inputs[2]) is not None:
        yield _fatal("bias", node, "has a quantized bias; keep it float")


def _both_inputs(node: ir.Node) -> Iterator[Violation]:
    """[TRT]: a weighted layer runs in int8 only if activation and weight are both dequantized."""
    if not is_weighted(node):
        return
    are_quantized = [_dequantize(value) is not None for value in node.inputs[:2]]
    if any(are_quantized) and not all(are_quantized):
        text = "has one quantized input and one float input, so that it runs in float"
        yield Violation(backend="TensorRT", rule="both_inputs", node=name_of(node), message=text, fatal=False)


def _output(node: ir.Node) -> Iterator[Violation]:
    """[TRT]: a Q before a convolution's activation, or at the network's end, breaks the fusion."""
    if not is_convolution(node):
        return
    quantize = _sole_consumer(node)
    if quantize is None or quantize.op_type != "QuantizeLinear":
        return
    readers = [reader for dequantize in _readers(quantize) for reader in _readers(dequantize)]
    if all(reader.op_type in _ACTIVATIONS for reader in readers):
        follower = f"its activation {readers[0].name!r}" if readers else "the output of the model"
        text = f"is quantized before {follower}; leave that float"
        yield Violation(backend="TensorRT", rule="output", node=name_of(node), message=text, fatal=False)


def _residual(node: ir.Node) -> Iterator[Violation]:
    """[TRT]: a residual Add has only its skip input quantized, so that it fuses with Conv and Relu."""
    if node.op_type != "Add":
        return
    sources = [source for value in node.inputs if (source := _dequantize(value)) is not None]
    if len(sources) == 2 and any(_follows_convolution(source) for source in sources):
        text = "adds two quantized inputs; leave the one from the convolution float"
        yield Violation(backend="TensorRT", rule="residual", node=name_of(node), message=text, fatal=False)


def _concat(node: ir.Node) -> Iterator[Violation]:
    """Inputs of a Concat share one scale; otherwise Q moves before it, 30 % slower in #4366."""
    if node.op_type != "Concat":
        return
    dequantized = [_dequantize(value) for value in node.inputs]
    scales = [_constant(source.inputs[1]) for source in dequantized if source is not None]
    numbers = {float(scale.flat[0]) for scale in scales if scale is not None and scale.size == 1}
    if len(numbers) > 1:
        text = f"joins inputs of {len(numbers)} different scales; give them one"
        yield Violation(backend="TensorRT", rule="concat", node=name_of(node), message=text, fatal=False)


_RULES: tuple[Callable[[ir.Node], Iterator[Violation]], ...] = (
    _zero_point,
    _scale,
    _granularity,
    _bias,
    _both_inputs,
    _output,
    _residual,
    _concat,
)


def _fatal(rule: str, node: ir.Node, message: str) -> Violation:
    return Violation(backend="TensorRT", rule=rule, node=name_of(node), message=message, fatal=True)


def _constant(value: ir.Value | None) -> np.ndarray | None:
    tensor = None if value is None else value.const_value
    return None if tensor is None else tensor.numpy()


def _is_half(value: ir.Value | None) -> bool:
    return value is not None and value.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def _dequantize(value: ir.Value | None) -> ir.Node | None:
    """DequantizeLinear whose output is `value`; None for other producers."""
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == "DequantizeLinear" else None


def _readers(node: ir.Node) -> list[ir.Node]:
    return [use.node for value in node.outputs for use in value.uses()]


def _sole_consumer(node: ir.Node) -> ir.Node | None:
    readers = _readers(node)
    return readers[0] if len(readers) == 1 else None


def _feeds_bias(dequantize: ir.Node) -> bool:
    uses = [use for value in dequantize.outputs for use in value.uses()]
    return any(is_weighted(use.node) and use.idx == 2 for use in uses)


def _follows_convolution(dequantize: ir.Node) -> bool:
    """Whether the Q/DQ pair that ends in `dequantize` is the only reader of a convolution."""
    quantize = dequantize.inputs[0].producer() if dequantize.inputs[0] is not None else None
    value = quantize.inputs[0] if quantize is not None else None
    node = value.producer() if value is not None else None
    return node is not None and is_convolution(node) and len(_readers(node)) == 1
