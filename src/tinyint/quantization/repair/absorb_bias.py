"""Absorption of high biases: a channel's lower bound moves into its readers' biases.

    W₂·relu(W₁·x + b₁) + b₂  =  W₂·relu(W₁·x + b₁ - c) + (b₂ + W₂·c)        where W₁·x + b₁ ≥ c ≥ 0

Nagel et al. 2019, Data-Free Quantization (arXiv:1906.04721, §4.1.3), which takes c = β - 3γ of a batch norm. Here c is
the least value on the calibration samples, so that on these the function is the same. An activation then ranges from
zero on, and its codes are spent on what varies. Where an operator pads with zeros, which would have to be -c, the step
leaves the channels alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx_ir as ir

from tinyint.errors import RecordError
from tinyint.graph.edit import GraphEditor
from tinyint.graph.names import name_of
from tinyint.numbers.numerics import Array, FloatArray
from tinyint.quantization.calibration import CalibrationRecord, Decision
from tinyint.quantization.calibration.statistics import ChannelExtrema, Request
from tinyint.quantization.repair.offsets import OffsetPath, offset_paths
from tinyint.quantization.repair.step import FloatStep

__all__ = ["STEP", "absorbed", "offsets"]

_WORTH_WHILE = 0.9
"""What the largest value of an activation must fall to, at most; otherwise its codes stay as coarse as they are."""


def offsets(lo: FloatArray, hi: FloatArray) -> FloatArray:
    """Offset per channel, float32 (channels,), from its extrema before a Relu.

    Zeros where the activation as a whole would hardly range less.
    """
    constant = np.maximum(lo, 0)
    left = float((np.maximum(hi, 0) - constant).max(initial=0.0))
    return constant if left <= _WORTH_WHILE * float(hi.max(initial=0.0)) else np.zeros_like(constant)


def absorbed(weight: Array, offset: Array) -> Array:
    """Growth of an operator's bias, float64 (outputs,).

    `weight`: (groups, outputs, inputs, kernel) as of `WeightLayout.matrix`; `offset`: (inputs of all groups,).
    """
    groups, _, inputs, _ = weight.shape
    by_group = offset.astype(np.float64).reshape(groups, inputs)
    found: Array = np.einsum("goik,gi->go", weight.astype(np.float64), by_group).reshape(-1)
    return found


class AbsorbBias(FloatStep):
    """By the least value of each channel before a Relu."""

    name = "absorb_bias"
    reads_data = True

    def needs(self, model: ir.Model) -> frozenset[Request]:
        return frozenset(_request(path) for path in offset_paths(model.graph))

    def decide(self, model: ir.Model, record: CalibrationRecord) -> Decision:
        found = {}
        for path in offset_paths(model.graph):
            extrema = record.statistic(_request(path))
            assert isinstance(extrema, ChannelExtrema)
            taken = offsets(extrema.lo, extrema.hi)
            if taken.any():
                found[path.before] = [float(number) for number in taken]
        return found

    def moved(self, model: ir.Model, decision: Decision) -> frozenset[str]:
        paths = offset_paths(model.graph)
        return frozenset(name for path in paths if path.before in decision for name in path.tensors)

    def apply(self, model: ir.Model, decision: Decision) -> tuple[ir.Model, str]:
        paths = offset_paths(model.graph)
        if not decision:
            nothing = (
                "none of the activations would range less"
                if paths
                else "no Relu is read by nothing but operators with weights and without padding"
            )
            return model, f"found nothing to do: {nothing}"
        taken = _checked(decision, paths)
        changed = model.clone()
        changes: dict[str, Array] = {}
        for path in paths:
            if path.before in taken:
                _add(changes, path.writer, -taken[path.before])
                for reader in path.readers:
                    offset = np.repeat(taken[path.before], reader.places)
                    _add(changes, name_of(reader.node), absorbed(reader.weight(), offset))
        editor = GraphEditor(changed.graph)
        for node in list(changed.graph):
            if name_of(node) in changes:
                _change_bias(editor, node, changes[name_of(node)])
        channels = sum(int((offset != 0).sum()) for offset in taken.values())
        most = max(float(offset.max()) for offset in taken.values())
        return changed, f"took up to {most:.4g} from {channels} channels of {len(taken)} activations"


STEP = AbsorbBias()


def _request(path: OffsetPath) -> Request:
    return Request(statistic=ChannelExtrema, tensor=path.before)


def _checked(decision: Decision, paths: Iterable[OffsetPath]) -> Mapping[str, FloatArray]:
    sizes = {path.before: path.channels for path in paths}
    found = {}
    for name, numbers in decision.items():
        try:
            offset = np.array(numbers, np.float64).astype(np.float32)
        except (TypeError, ValueError):
            offset = np.array(np.nan, np.float32)
        if offset.shape != (sizes.get(name),) or not np.isfinite(offset).all() or (offset < 0).any():
            raise RecordError(
                f"what {STEP.name} decided for tensor {name!r} does not go with the model; calibrate it anew"
            )
        found[name] = offset
    return found


def _add(changes: dict[str, Array], node: str, change: Array) -> None:
    changes[node] = changes.get(node, 0.0) + change.astype(np.float64)


def _change_bias(editor: GraphEditor, node: ir.Node, change: Array) -> None:
    """Adds to the operator's bias, or gives it one."""
    known = node.inputs[2] if len(node.inputs) > 2 else None
    before = np.zeros(()) if known is None or known.const_value is None else known.const_value.numpy()
    array = (before.astype(np.float64) + change).astype(np.float32)
    if known is not None:
        known.const_value = ir.tensor(array, name=known.name)
        return
    node.resize_inputs(3)
    node.replace_input_with(2, editor.constant(f"{node.name}/bias", array))
