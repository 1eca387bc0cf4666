"""Runtimes that compute something else than a model says, on this processor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from tinyint.errors import TinyintError
from tinyint.graph.io import load_model
from tinyint.graph.passes.exact_products import exact_products
from tinyint.graph.source import ModelSource, whole
from tinyint.graph.walk import ancestors
from tinyint.numbers.numerics import Array, sqnr_db
from tinyint.proof.saturation import saturation
from tinyint.quantization.trial import JUMPS
from tinyint.runtimes import Feeds, get_runtime
from tinyint.runtimes.host import host
from tinyint.runtimes.outputs import tensors_of

__all__ = ["graph_with_weights", "saturating", "unlike"]

_ALIKE_DB = 20.0
_APART_DB = 6.0  # a quarter of the noise power


def graph_with_weights(model: ModelSource) -> ir.Model | None:
    """The model as a graph; None for one that tinyint does not read."""
    if isinstance(model, str | Path) and Path(model).suffix != ".onnx":
        return None
    try:
        return load_model(model) if isinstance(model, str | Path) else whole(model)
    except TinyintError:
        return None


def saturating(model: ModelSource, runtimes: Sequence[str]) -> dict[str, str]:
    """Reason against each runtime on which products saturate here, if others are left."""
    if len(runtimes) < 2 or not host().pair_sums_saturate or (graph := graph_with_weights(model)) is None:
        return {}
    found = {name: told for name in runtimes if (told := saturation(graph, name)) is not None}
    return found if len(found) < len(runtimes) else {}


def unlike(model: ModelSource, feeds: Feeds, outputs: Mapping[str, Mapping[str, Array]]) -> dict[str, str]:
    """Reason against each runtime whose outputs are gross beside those of the others.

    `outputs`: of each runtime, for `feeds`. They are like each other from an SQNR of 20 dB on. Where they are not, the
    op-by-op simulation decides: a runtime is out if it is below that, and more than 6 dB worse than the best one.
    Outputs after operators with jumps are not compared.
    """
    if len(outputs) < 2:
        return {}
    first, *others = outputs.values()
    if all(_likeness(first, other) >= _ALIKE_DB for other in others):
        return {}
    graph = graph_with_weights(model)
    if graph is None:
        return {}
    smooth = {value.name for value in graph.graph.outputs if not _jumps(value)}
    try:
        simulation = get_runtime("onnxruntime").open(exact_products(graph), optimize=False)
        simulated = tensors_of(simulation.run(feeds))
    except TinyintError:
        return {}
    expected = {name: array for name, array in simulated.items() if name in smooth}
    fidelity = {name: _likeness(expected, found) for name, found in outputs.items()}
    least = min(_ALIKE_DB, max(fidelity.values()) - _APART_DB)
    return {
        name: f"computes something else than the model says ({db:.0f} dB from it)"
        for name, db in fidelity.items()
        if db < least
    }


def _likeness(expected: Mapping[str, Array], found: Mapping[str, Array]) -> float:
    """Least SQNR of the finite floats among the outputs, in dB; -inf where a shape differs."""
    least = np.inf
    for name, array in expected.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            continue
        if name not in found or found[name].shape != array.shape:
            return -np.inf
        least = min(least, sqnr_db(array, found[name])) if np.isfinite(found[name]).all() else -np.inf
    return least


def _jumps(output: ir.Value) -> bool:
    return any(node.op_type in JUMPS for node in ancestors(output))
