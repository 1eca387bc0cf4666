"""Small Q/DQ graphs by hand. A quantizer of the value "t" is "t/Q" with output "t_q", then "t/DQ" with "t_dq"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import helper, numpy_helper

WEIGHT_SCALE = 0.004
SCALE = 0.05


class Graph:
    """One input "x"; each method adds nodes and returns the name of the value that they make."""

    def __init__(self, *shape: int | str) -> None:
        self.shape = shape
        self.rng = np.random.default_rng(0)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, values: ArrayLike) -> str:
        self.initializers.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, op_type: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """The node `name` of one output, `name_out`."""
        self.nodes.append(helper.make_node(op_type, inputs, [f"{name}_out"], name=name, **attributes))
        return f"{name}_out"

    def quantized(
        self, value: str, scale: float = SCALE, zero_point: int = 128, dtype: str = "uint8", tag: str = ""
    ) -> str:
        """Q and DQ after `value`; `tag` distinguishes several pairs on one value."""
        name = value + tag
        self.constant(f"{name}_scale", np.float32(scale))
        self.constant(f"{name}_zero_point", np.array(zero_point, dtype))
        q = [value, f"{name}_scale", f"{name}_zero_point"]
        dq = [f"{name}_q", *q[1:]]
        self.nodes.append(helper.make_node("QuantizeLinear", q, [f"{name}_q"], name=f"{name}/Q"))
        self.nodes.append(helper.make_node("DequantizeLinear", dq, [f"{name}_dq"], name=f"{name}/DQ"))
        return f"{name}_dq"

    def weight(
        self, name: str, shape: Sequence[int], axis: int = 0, zero_point: int = 0, dtype: str = "int8"
    ) -> str:
        """Integer weights before a DQ, one scale per channel; no sum of two saturates, whatever the processor."""
        low, high = (-64, 65) if dtype == "int8" else (0, 256)
        return self._dequantized(
            name, self.rng.integers(low, high, shape).astype(dtype), WEIGHT_SCALE, axis, zero_point
        )

    def bias(self, name: str, channels: int, scale: float = SCALE * WEIGHT_SCALE) -> str:
        """int32 codes before a DQ."""
        return self._dequantized(name, self.rng.integers(-9000, 9000, channels).astype("int32"), scale, 0, 0)

    def _dequantized(self, name: str, codes: np.ndarray, scale: float, axis: int, zero_point: int) -> str:
        channels = codes.shape[axis]
        inputs = [
            self.constant(f"{name}_q", codes),
            self.constant(f"{name}_scale", np.full(channels, scale, np.float32)),
            self.constant(f"{name}_zero_point", np.full(channels, zero_point, codes.dtype)),
        ]
        node = helper.make_node("DequantizeLinear", inputs, [f"{name}_dq"], name=f"{name}/DQ", axis=axis)
        self.nodes.append(node)
        return f"{name}_dq"

    def conv(
        self, value: str, name: str, inputs: int, outputs: int, kernel: int = 1, group: int = 1, **more: Any
    ) -> str:
        """A convolution that keeps height and width; its bias fits an input scale of `SCALE`."""
        weight = self.weight(f"{name}_w", (outputs, inputs // group, kernel, kernel))
        pads = [kernel // 2] * 4
        return self.add(
            "Conv", [value, weight, self.bias(f"{name}_b", outputs)], name, pads=pads, group=group, **more
        )

    def model(
        self, *outputs: str, opset: int = 17, metadata: dict[str, str] | None = None, dtype: str = "float32"
    ) -> bytes:
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "micro",
            [info("x", onnx.TensorProto.FLOAT, self.shape)],
            [info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None) for name in outputs],
            self.initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
        helper.set_model_props(model, metadata or {})
        return model.SerializeToString()
