"""Signature of a quantized model: how it was made, for any command to read."""

from __future__ import annotations

import json
from collections.abc import Mapping

import onnx_ir as ir

import tinyint
from tinyint.errors import ModelError
from tinyint.metadata import DECISIONS, FLOAT_NODES, METHOD, RECIPE, TARGET, VERSION
from tinyint.quantization.calibration import CalibrationRecord, Decision
from tinyint.quantization.recipe import Method, Recipe
from tinyint.targets import Target

__all__ = ["sign", "signed_decisions"]


def sign(
    model: ir.Model,
    *,
    method: Method,
    target: Target,
    recipe: Recipe,
    float_nodes: Mapping[str, str],
    record: CalibrationRecord | None,
) -> None:
    """Writes the model's origin into its metadata.

    Inferred shapes and types are taken out: the runtime infers its own.
    """
    model.metadata_props.update(
        {
            VERSION: tinyint.__version__,
            METHOD: method,
            TARGET: target.name,
            RECIPE: recipe.dump(),
            FLOAT_NODES: json.dumps(dict(float_nodes)),
        }
    )
    if record is not None and record.decisions:
        model.metadata_props[DECISIONS] = json.dumps(record.decisions)
    # Runtimes infer shapes better than the file can state them. Told that two open shapes are equal, ONNX Runtime
    # 1.31 fuses Add and LayerNormalization into a kernel that is five times as slow (MiniLM: 8.4 ms instead of 6.6).
    for node in model.graph:
        for value in node.outputs:
            if not value.is_graph_output():
                value.shape = None
                value.type = None


def signed_decisions(model: ir.Model) -> dict[str, Decision]:
    """Steps' decisions from the samples, out of the metadata.

    Raises ModelError if they cannot be read.
    """
    text = model.metadata_props.get(DECISIONS, "{}")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(decision, dict) for decision in found.values()):
        raise ModelError(f"the model's metadata {DECISIONS} are no JSON of decisions; quantize it anew")
    return found
