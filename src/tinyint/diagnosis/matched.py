"""An int8 model beside the float graph that it was made from."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from tinyint.diagnosis.pairs import Pairs, pair
from tinyint.errors import ModelError
from tinyint.graph.io import is_quantized
from tinyint.graph.names import name_of
from tinyint.graph.prepare import prepare
from tinyint.metadata import RECIPE, TARGET
from tinyint.quantization.pixels import PixelInput
from tinyint.quantization.recipe import Recipe, read_yaml
from tinyint.quantization.repair import repair_float
from tinyint.quantization.signature import signed_decisions
from tinyint.targets import get_target

__all__ = ["ANOTHER", "Matched"]

ANOTHER = "it was not made from this float model; give the one that it was made from"


@dataclass(frozen=True, kw_only=True, eq=False)
class Matched:
    """Float graph as it was quantized, the int8 model, and their tensors in pairs."""

    prepared: ir.Model
    int8: ir.Model
    pairs: Pairs

    @classmethod
    def of(cls, float_model: ir.Model, int8_model: ir.Model) -> Matched:
        """Matches a Q/DQ model of any origin with its float model.

        Raises ModelError if the two do not belong together.
        """
        if is_quantized(float_model):
            raise ModelError(
                "the first model is quantized already; give the float model first, then the int8 model"
            )
        if not is_quantized(int8_model):
            raise ModelError(
                "the second model is not quantized; give the float model first, then the int8 model"
            )
        prepared = _as_quantized(float_model, int8_model)
        _check_inputs(prepared.graph, int8_model.graph)
        pairs = pair(prepared.graph, int8_model.graph)
        if not pairs.activations and not pairs.constants and pairs.unmatched:
            raise ModelError(
                f"none of the int8 model's {len(pairs.unmatched)} quantized tensors, {pairs.unmatched[0]!r} the first, "
                f"has a counterpart in the float model: {ANOTHER}"
            )
        return cls(prepared=prepared, int8=int8_model, pairs=pairs)


def _as_quantized(float_model: ir.Model, int8_model: ir.Model) -> ir.Model:
    """Prepared float model after the recipe's steps that preserve its function, with the same input."""
    prepared, text = prepare(float_model), int8_model.metadata_props.get(RECIPE)
    if text is None:
        return prepared
    recipe, decisions = Recipe.parse(read_yaml(text, "metadata")), signed_decisions(int8_model)
    repaired = repair_float(prepared, "", recipe, decisions=decisions).model
    pixels = PixelInput.saved(str(repaired.graph.inputs[0].name), int8_model.metadata_props)
    if pixels is None:
        return repaired
    return pixels.fold(repaired, get_target(int8_model.metadata_props[TARGET])).model


def _check_inputs(float_graph: ir.Graph, int8_graph: ir.Graph) -> None:
    initialized = int8_graph.initializers
    ours = sorted(name_of(value) for value in float_graph.inputs)
    theirs = sorted(name_of(value) for value in int8_graph.inputs if value.name not in initialized)
    if ours != theirs:
        raise ModelError(f"the int8 model has the inputs {theirs}, the float model has {ours}: {ANOTHER}")
