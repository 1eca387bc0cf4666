"""Preparation of a float model for calibration and quantization, without change of its function."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
from onnx_ir.passes import InvariantError
from onnx_ir.passes.common import (
    InlinePass,
    RemoveInitializersFromInputsPass,
    RemoveUnusedNodesPass,
    TopologicalSortPass,
)

from tinyint.errors import ModelError
from tinyint.graph.io import is_quantized, model_fingerprint
from tinyint.graph.passes.affine import fold_affine
from tinyint.graph.passes.biases import split_biases
from tinyint.graph.passes.constants import fold_constants
from tinyint.graph.passes.deform_conv import unroll_deform_conv
from tinyint.graph.passes.gemm import normalize_gemm
from tinyint.graph.passes.global_pool import recognize_global_pool
from tinyint.graph.passes.hard_swish import recognize_hard_swish
from tinyint.graph.passes.inline_if import inline_constant_if
from tinyint.graph.passes.matmul import flatten_matrices
from tinyint.graph.passes.names import name_nodes
from tinyint.graph.passes.no_ops import drop_no_ops
from tinyint.graph.passes.opset import upgrade_opset
from tinyint.graph.passes.padding import fold_padding
from tinyint.graph.passes.points import widen_points
from tinyint.graph.passes.pooling import drop_pool_attributes, settle_pool_sizes
from tinyint.graph.passes.reductions import write_out_reductions
from tinyint.graph.passes.relu import recognize_relu
from tinyint.graph.passes.shapes import infer_shapes
from tinyint.graph.passes.shared import clone_shared_constants
from tinyint.graph.passes.unfuse import unfuse
from tinyint.graph.passes.widen import widen_floats
from tinyint.graph.source import model_label

__all__ = ["PASSES", "prepare", "prepare_float"]

PASSES: tuple[Callable[[ir.Model], None], ...] = (
    widen_floats,
    unfuse,
    infer_shapes,
    settle_pool_sizes,
    write_out_reductions,
    fold_constants,
    inline_constant_if,
    drop_no_ops,
    unroll_deform_conv,
    drop_pool_attributes,
    clone_shared_constants,
    normalize_gemm,
    flatten_matrices,
    split_biases,
    fold_affine,
    fold_padding,
    widen_points,
    recognize_global_pool,
    recognize_relu,
    recognize_hard_swish,
)
"""Rewritings in their order: each relies on those before it."""

_OLDEST_IR = 8  # the first that allows opset 17; since 4, constants need not be inputs


def prepare(model: ir.Model, *, keep_batch_norms: bool = False) -> ir.Model:
    """New model of the same function in the prepared form.

    * opset ≥ 13 (17 if it was older), no local functions
    * no constants, batch norms or padding left to fold
    * constants of its own for each Conv, Gemm and MatMul
    * float32 in place of half precision, also in the bodies of If and Loop, which are unchanged otherwise
    * unique node names, inferred shapes

    Inputs and outputs keep their names, order and types; initializers that were listed as inputs become constants. With
    `keep_batch_norms`, batch norms stay after their operators, and all other names are as without it. Weights are
    shared with the caller's model, which is unchanged.

    Raises ModelError if the operator set cannot be raised to 13, or if an operator has inputs or attributes that it
    cannot take.
    """
    try:
        return _prepared(model, keep_batch_norms)
    except _BROKEN as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{model_label(model)} cannot be brought into the form that is quantized: {reason}; see whether "
            "onnx.checker accepts it, and export it again"
        ) from error


_BROKEN = (
    InvariantError, RuntimeError, ValueError, IndexError, KeyError, TypeError, AttributeError, ir.serde.SerdeError,
)  # fmt: skip
"""Errors that rewritings raise on operators with inconsistent inputs or attributes."""


def _prepared(model: ir.Model, keep_batch_norms: bool) -> ir.Model:
    model = model.clone()
    RemoveInitializersFromInputsPass()(model)
    if model.functions:
        InlinePass()(model)
    TopologicalSortPass()(model)
    model.ir_version = max(model.ir_version, _OLDEST_IR)
    model = upgrade_opset(model)
    for rewrite in PASSES:
        if rewrite is fold_affine and keep_batch_norms:
            fold_affine(model, keep_batch_norms=True)
        else:
            rewrite(model)
    RemoveUnusedNodesPass()(model)
    name_nodes(model)
    infer_shapes(model)
    return model


def prepare_float(model: ir.Model, name: str = "the model") -> tuple[ir.Model, str]:
    """Prepared graph and fingerprint of a float model.

    Raises ModelError if it is quantized already.
    """
    if is_quantized(model):
        raise ModelError(
            f"{name} is quantized already: it holds QuantizeLinear, DequantizeLinear or integer operators; "
            "give the float model that it was made from (`tinyint inspect` shows what is in it)"
        )
    return prepare(model), model_fingerprint(model)
