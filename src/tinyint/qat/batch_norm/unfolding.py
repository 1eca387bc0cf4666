"""Trained batch norms of a graph, and their places in the program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.edit import GraphEditor
from tinyint.graph.names import name_of
from tinyint.graph.ops import layout_of
from tinyint.graph.walk import constant_of
from tinyint.qat.batch_norm.modules import BatchNorm, Fold, FoldedBatchNorm, TrainedNorm
from tinyint.torch_graph.program import Step

__all__ = ["Norm", "find_norms", "norm_modules", "with_norms"]


@dataclass(frozen=True, kw_only=True)
class Norm:
    """A batch norm of the trained graph.

    * `name`: of its node
    * `statistics`: the names of γ, β, mean and variance
    * `linear`: the node of the prepared graph that it is folded into; of one that stands alone, its own
    * `weight`, `bias`: the names of the constants of that node, None for one that stands alone
    * `own_bias`: whether the operator has a bias without the batch norm
    """

    name: str
    statistics: tuple[str, str, str, str]
    epsilon: float
    rate: float
    linear: str
    weight: str | None = None
    bias: str | None = None
    own_bias: bool = False
    axis: int = 0
    groups: int = 1

    @property
    def is_folded(self) -> bool:
        return self.weight is not None

    @property
    def fold(self) -> Fold:
        return Fold(epsilon=self.epsilon, axis=self.axis, groups=self.groups)


def find_norms(trained: ir.Model, prepared: ir.Model, name: str) -> tuple[Norm, ...]:
    """The batch norms of `trained`, which is `prepared` but for these.

    In place, each batch norm gets constants of its own, and each operator into which one is folded gets a bias.
    Raises ModelError if there is none.
    """
    found = []
    trained_editor, editor = GraphEditor(trained.graph), GraphEditor(prepared.graph)
    for node in trained.graph:
        if node.op_type == "BatchNormalization" and node.domain == "" and not _computes_its_own(node):
            _own_constants(node, trained_editor)
            found.append(_norm(node, editor))
    if not found:
        raise ModelError(
            f"{name} has no batch norm that could be trained; exporters fold them into the operators before them. Give "
            "the nn.Module itself, or export it with torch.onnx.export(..., training=TrainingMode.PRESERVE, "
            "do_constant_folding=False); or train with `batch_norm: folded`"
        )
    return tuple(found)


def _computes_its_own(node: ir.Node) -> bool:
    """Whether it is in training mode, or its constants are computed."""
    training = node.attributes.get_int("training_mode", 0) or len(node.outputs) > 1
    return bool(training) or any(constant_of(value) is None for value in node.inputs[1:5])


def _own_constants(node: ir.Node, editor: GraphEditor) -> None:
    for i, value in enumerate(node.inputs[1:5], start=1):
        if value is not None and value.const_value is not None and len(value.uses()) > 1:
            node.replace_input_with(i, editor.constant(name_of(value), value.const_value))


def _norm(node: ir.Node, editor: GraphEditor) -> Norm:
    made, source, prepared = node.outputs[0], node.inputs[0], editor.graph
    standing = next((n for n in prepared if _makes(n, made) and n.op_type == node.op_type), None)
    values = [name_of(value) for value in node.inputs[1:5] if value is not None]
    common = Norm(
        name=name_of(node),
        statistics=(values[0], values[1], values[2], values[3]),
        epsilon=node.attributes.get_float("epsilon", 1e-5),
        rate=1.0 - node.attributes.get_float("momentum", 0.9),
        linear="" if standing is None else name_of(standing),
    )
    if standing is not None:
        _take_names(standing, values, editor)
        return common
    linear = None if source is None else source.producer()
    assert linear is not None
    folded = next(n for n in prepared if n.name == linear.name)
    weight = folded.inputs[1]
    assert weight is not None
    assert weight.shape is not None
    layout = layout_of(folded)
    return replace(
        common,
        linear=name_of(folded),
        weight=weight.name,
        bias=_bias_name(folded, editor),
        own_bias=len(linear.inputs) > 2 and linear.inputs[2] is not None,
        axis=layout.output_axis(len(weight.shape)),
        groups=1 if layout.outputs_first else layout.groups,
    )


def _makes(node: ir.Node, value: ir.Value) -> bool:
    return any(output.name == value.name for output in node.outputs)


def _take_names(node: ir.Node, names: Sequence[str], editor: GraphEditor) -> None:
    """Lets a batch norm read constants of these names, of the same content."""
    for i, name in enumerate(names, start=1):
        value = node.inputs[i]
        if value is not None and value.name != name and value.const_value is not None:
            node.replace_input_with(i, editor.constant(name, value.const_value))


def _bias_name(node: ir.Node, editor: GraphEditor) -> str:
    """The bias of a Conv, ConvTranspose or Gemm, which gets zeros if folding left none."""
    weight = constant_of(node.inputs[1])
    assert weight is not None
    if len(node.inputs) < 3 or node.inputs[2] is None:
        node.resize_inputs(3)
        zeros = np.zeros(layout_of(node).outputs(weight.shape), weight.dtype)
        node.replace_input_with(2, editor.constant(f"{node.name}.bias", zeros))
    bias = node.inputs[2]
    assert bias is not None
    return name_of(bias)


def norm_modules(norms: Sequence[Norm]) -> dict[str, TrainedNorm]:
    """Modules of the batch norms, by name."""
    kinds: dict[bool, type[TrainedNorm]] = {True: FoldedBatchNorm, False: BatchNorm}
    return {n.name: kinds[n.is_folded](n.epsilon, n.rate, *n.statistics[2:]) for n in norms}


def with_norms(
    steps: Sequence[Step], norms: Sequence[Norm], modules: Mapping[str, TrainedNorm]
) -> Iterator[Step]:
    """Program of the prepared graph, with trained batch norms.

    One that is folded becomes two steps. The first gives the operator's constants new values, under their names, ahead
    of what reads them. The second stands after the operator.
    """
    folded = {norm.linear: norm for norm in norms if norm.is_folded}
    alone = {norm.linear: norm for norm in norms if not norm.is_folded}
    due = {name: norm for norm in folded.values() for name in (norm.weight, norm.bias)}
    for step in steps:
        for norm in dict.fromkeys(due[name] for name in step.inputs if name in due):
            yield _fold(norm)
            del due[norm.weight], due[norm.bias]
        if step.name in alone:
            yield replace(step, function=modules[alone[step.name].name])
        elif step.name in folded:
            norm = folded[step.name]
            yield from _followed(step, norm, modules[norm.name])
        else:
            yield step


def _fold(norm: Norm) -> Step:
    inputs = norm.weight, norm.bias if norm.own_bias else None, *norm.statistics
    return Step(f"{norm.name}/fold", norm.fold, inputs, (norm.weight or "", norm.bias or "", _factor(norm)))


def _followed(step: Step, norm: Norm, module: TrainedNorm) -> tuple[Step, Step]:
    """The operator, and the batch norm after it under the operator's name of the result."""
    made = step.outputs[0]
    raw = f"{made} ({norm.name})"
    _, shift, *running = norm.statistics
    behind = Step(norm.name, module, (raw, _factor(norm), shift, *running), (made,))
    return replace(step, outputs=(raw,)), behind


def _factor(norm: Norm) -> str:
    """The tensor between the two steps of a batch norm."""
    return f"{norm.name} (factor)"
