"""Raise an older operator set to 17: per-channel DequantizeLinear needs 13, later passes are written for 13 and up."""

from __future__ import annotations

import onnx
import onnx_ir as ir
from onnx import version_converter

from tinyint.errors import ModelError
from tinyint.graph.io import OLDEST_OPSET
from tinyint.graph.passes.weightless import restore_weights, weightless_proto

__all__ = ["upgrade_opset"]

WANTED, LEAST = 17, 13


def upgrade_opset(model: ir.Model, wanted: int = WANTED) -> ir.Model:
    """A converted model if it is below opset `wanted`; the model itself if it is new enough.

    A model at 13 or above that cannot be converted is kept. Raises ModelError, with the operator, below that.
    """
    opset = model.opset_imports.setdefault("", WANTED)
    if opset >= wanted:
        return model
    if opset < OLDEST_OPSET:
        raise ModelError(
            f"the model has opset {opset}; opset {OLDEST_OPSET} or later is needed: export it again"
        )
    proto, weights = weightless_proto(model)
    reason = ""
    for target in (wanted, LEAST):
        if opset >= target:
            break
        try:
            converted = version_converter.convert_version(proto, target)
            onnx.checker.check_model(converted)
        except (
            Exception
        ) as error:  # the C++ converter raises several kinds, all with the operator in their text
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            continue
        result = ir.from_proto(converted)
        restore_weights(result, weights)
        return result
    if opset < LEAST:
        raise ModelError(
            f"the model has opset {opset} and cannot be converted to {LEAST} or {wanted}: {reason}; "
            f"export it again with opset {wanted}"
        )
    return model
