"""Conversion of a quantized Paddle 2 program to a float one, with its scales.

paddle2onnx reads only the float program. This code runs in the converter's process, on Paddle's own objects. It knows
the forms that PaddleSlim 2 saves: pairs of quantize_linear and dequantize_linear (`onnx_format`), pairs in one operator
(training), and codes that are dequantized after the product that reads them (frozen programs).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVELS", "to_float"]

LEVELS = 127
"""Code of the largest value, which Paddle stores as the scale."""

_TO_CODES = ("fake_quantize_range_abs_max", "fake_quantize_moving_average_abs_max")
_PAIRS = ("fake_quantize_dequantize_moving_average_abs_max", "fake_quantize_dequantize_range_abs_max")
_OF_WEIGHTS = (
    "fake_quantize_dequantize_abs_max",
    "fake_channel_wise_quantize_dequantize_abs_max",
    "fake_quantize_abs_max",
    "fake_channel_wise_quantize_abs_max",
)
_FROM_CODES = ("fake_channel_wise_dequantize_max_abs", "fake_dequantize_max_abs")
_OBSERVERS = ("moving_average_abs_max_scale",)


def to_float(program: Any, read: Callable[[str], Any], write: Callable[[str, Any], None]) -> dict[str, Any]:
    """Converts the program to float, in place; returns {weight: (scales, axis or None)}.

    A quantizer of an activation becomes a clip from -128·s to 127·s, which preserves its position and its scale in the
    conversion. `read` and `write` get and set the value of a variable, in float32. Raises ValueError for a quantizer
    without a counterpart in ONNX.
    """
    return _Rewriter(program.global_block(), read, write).run()


class _Rewriter:
    def __init__(self, block: Any, read: Callable[[str], Any], write: Callable[[str, Any], None]) -> None:
        self.block, self.read, self.write = block, read, write
        self.weights: dict[str, Any] = {}
        self.renamed: dict[str, str] = {}
        self.codes: dict[str, str] = {}  # source of each tensor of codes
        self.numbers: set[str] = set()  # tensors that were codes before
        self.makers: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        for op in list(self.block.ops):
            for name in set(op.input_arg_names) & self.renamed.keys():
                op._rename_input(name, self.renamed[name])
            if "quantize" in op.type or op.type in _OBSERVERS:
                self._rewrite(op)
            else:
                self.makers |= dict.fromkeys(op.output_arg_names, op)
        return self.weights

    def _rewrite(self, op: Any) -> None:
        source = op.input("X")[0]
        result = op.output("Y" if op.type in ("quantize_linear", "dequantize_linear") else "Out")[0]
        self._check(op)
        if op.type in _OBSERVERS or _attribute(op, "only_observer", False):
            self.renamed[result] = source
        elif op.type == "quantize_linear":
            self.codes[result] = source
        elif op.type == "dequantize_linear" and source in self.codes:
            self._clip(op, self.codes[source], result, op.input("Scale")[0])
        elif op.type == "dequantize_linear" and self._is_weight(source):
            self._restore(source, self.read(op.input("Scale")[0]), op.attr("quant_axis"))
            self.renamed[result] = source
        elif op.type in (*_TO_CODES, *_PAIRS) and not self._is_weight(source):
            self._clip(op, source, result, op.input("InScale")[0])
        elif op.type in (*_OF_WEIGHTS, *_PAIRS) and self._is_weight(source):
            self._keep(source, _attribute(op, "quant_axis", 0) if "channel" in op.type else None)
            self.renamed[result] = source
        elif op.type in _FROM_CODES and (source in self.numbers or source in self.weights):
            self.renamed[result] = source
        elif op.type in _FROM_CODES and source in self.makers:
            self._restore_before(op, source)
            self.renamed[result] = source
        else:
            raise ValueError(f"the quantizer {op.type} of {source} has no scale that is fixed")
        self._remove(op)

    def _restore_before(self, op: Any, product: str) -> None:
        """Dequantizes the weight of a product whose result the operator dequantizes."""
        weight = next(name for name in self.makers[product].input_arg_names if self._is_weight(name))
        if op.type == "fake_dequantize_max_abs":
            self._restore(weight, np.array([LEVELS * LEVELS / op.attr("max_range")]), None)
        else:
            self._restore(weight, self.read(op.input("Scales")[0]), _attribute(op, "quant_axis", 0))

    def _check(self, op: Any) -> None:
        bits = [_attribute(op, "bit_length", 8), *(_attribute(op, "quant_bits", None) or ())]
        if set(bits) != {8}:
            raise ValueError(f"the quantizer {op.type} has {bits} bits; 8 are read")
        zero_point = op.input("ZeroPoint") if "ZeroPoint" in op.input_names else []
        if zero_point and np.any(self.read(zero_point[0])):
            raise ValueError(f"the quantizer {op.type} has a zero-point other than 0")

    def _is_weight(self, name: str) -> bool:
        return bool(self.block.var(name).persistable)

    def _clip(self, op: Any, source: str, result: str, scale: str) -> None:
        step = float(np.max(self.read(scale))) / LEVELS
        if not step > 0:
            raise ValueError(f"the quantizer of {source} has a scale of 0: it has seen no values")
        bounds = {"min": -(LEVELS + 1) * step, "max": LEVELS * step}
        self.numbers.add(result)
        position = self.block.ops.index(op)
        self.block._insert_op(
            position, type="clip", inputs={"X": [source]}, outputs={"Out": [result]}, attrs=bounds
        )

    def _restore(self, weight: str, largest: NDArray[np.float32], axis: int | None) -> None:
        """Dequantizes a weight, only once if several operators read it."""
        if weight in self.weights:
            return
        codes = self.read(weight)
        steps = _steps(largest.reshape(-1))
        scale_axis = None if axis is None or axis < 0 or steps.size == 1 else axis
        self.write(
            weight, codes * (steps[0] if scale_axis is None else _along(steps, scale_axis, codes.ndim))
        )
        self.weights[weight] = (steps.tolist() if scale_axis is not None else float(steps[0]), scale_axis)

    def _keep(self, weight: str, axis: int | None) -> None:
        """Notes the scale of a weight that is still float: that of its largest value."""
        values = np.abs(self.read(weight))
        others = tuple(i for i in range(values.ndim) if i != axis)
        steps = _steps(values.max(axis=others) if axis is not None else values.max().reshape(1))
        self.weights[weight] = (steps.tolist() if axis is not None else float(steps[0]), axis)

    def _remove(self, op: Any) -> None:
        self.block._remove_op(self.block.ops.index(op))


def _steps(largest: Any) -> NDArray[np.float32]:
    steps = np.asarray(largest, np.float32) / np.float32(LEVELS)
    return np.where(steps > 0, steps, np.float32(1))  # 1 for a dead channel


def _along(steps: NDArray[np.float32], axis: int, ndim: int) -> NDArray[np.float32]:
    return steps.reshape([-1 if i == axis else 1 for i in range(ndim)])


def _attribute(op: Any, name: str, default: Any) -> Any:
    return op.attr(name) if op.has_attr(name) else default
