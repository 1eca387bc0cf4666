"""Types and shapes of every value, as far as ONNX infers them; weights are not serialized for it."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

__all__ = ["infer_shapes"]


def infer_shapes(model: ir.Model) -> None:
    """Fill in, in place, what can be inferred; what cannot (operators of other domains) stays unknown."""
    ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
