"""ONNX graph as a torch module, which runs node by node with gradients.

Initializers keep their names: "layer1.0.conv.weight" is `module.layer1.0.conv.weight`, and the same key of
`state_dict()`. If a part of a name clashes with an attribute of `nn.Module`, or with the start of another name, "_" is
appended to it.

Initializers of a floating type with at least one dimension are parameters. Scalars (the 0.5 in a GELU), running
statistics of batch norms, and integers are buffers. Constants that an operator reads only when it is built, such as the
shape of a Reshape or the bounds of a Clip, are neither.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import onnx_ir as ir
from onnx_ir.passes.common import RemoveInitializersFromInputsPass
from torch import Tensor, nn

from tinyint.errors import DataError
from tinyint.graph.names import name_of
from tinyint.graph.walk import constant_of
from tinyint.metadata import OUTPUTS
from tinyint.torch_graph.operators import to_tensor
from tinyint.torch_graph.program import Program, Step, compile_graph

__all__ = ["GraphModule", "to_torch"]


_STATISTICS = {("BatchNormalization", 3), ("BatchNormalization", 4)}


def to_torch(model: ir.Model) -> GraphModule:
    """Trainable float module with the model's function.

    Raises ModelError, with all such operators, if some cannot be trained.
    """
    if any(value.is_initializer() for value in model.graph.inputs):  # as before IR version 4
        model = model.clone()
        RemoveInitializersFromInputsPass()(model)
    return GraphModule(model)


class GraphModule(nn.Module):
    """Module that runs the graph of `model`, with copies of its weights.

    * `steps`: the steps that run in the module's current mode, in order; assign a sequence to replace them. A function
      with its own state must be a module that is registered with this one, so that it is copied and moved with it.
    * `input_names`, `output_names`: names in the graph, in order
    * `paths`: path of each initializer in this module, by its name
    * `reserved`: attributes that a subclass sets later, and that no initializer may have as its name
    """

    reserved: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, model: ir.Model) -> None:
        super().__init__()
        graph = model.graph
        self.input_names = tuple(name_of(v) for v in graph.inputs if not v.is_initializer())
        self.output_names = tuple(name_of(v) for v in graph.outputs)
        self._kind, self._keys = _structure(model, self.output_names)
        self.paths: dict[str, str] = {}
        self._places: list[tuple[str, nn.Module, str]] = []
        self._programs: dict[str, Program] = {}
        steps = compile_graph(graph)
        inputs = {name for step in steps for name in step.inputs} | set(self.output_names)
        for value in _constants(graph):
            if value.name in inputs:
                self._register(value)
        self.steps = steps

    def constants(self) -> dict[str, Tensor]:
        """Parameters and buffers of the graph's constants, by their names in the graph."""
        return {name: getattr(owner, attribute) for name, owner, attribute in self._places}

    def set_constant(self, name: str, value: Tensor) -> None:
        """Replaces the tensor of a constant that is a buffer."""
        path, _, attribute = self.paths[name].rpartition(".")
        setattr(self.get_submodule(path), attribute, value)

    @property
    def steps(self) -> Sequence[Step]:
        return self._programs[self._mode()].steps

    @steps.setter
    def steps(self, steps: Sequence[Step]) -> None:
        self._programs[self._mode()] = Program.of(steps, self.output_names)

    def _mode(self) -> str:
        """Name of the program that runs."""
        return "training"

    def forward(self, *args: Tensor, **kwargs: Tensor) -> Any:
        """Outputs of the graph, for inputs by position or by name.

        Raises DataError if an input is missing, unknown or given twice.
        """
        values: dict[str, Any] = self._bind(args, kwargs) | self.constants()
        self._programs[self._mode()].run(values)
        return self._arrange([values[name] for name in self.output_names])

    def _bind(self, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> dict[str, Tensor]:
        names = self.input_names
        bound = dict(zip(names, args, strict=False))
        if (
            len(args) > len(names)
            or bound.keys() & kwargs.keys()
            or bound.keys() | kwargs.keys() != set(names)
        ):
            arguments = [*(f"{len(args)} by position" for _ in args[:1]), *kwargs]
            raise DataError(f"the graph takes the inputs {list(names)}, each once; got {arguments or 'none'}")
        return bound | kwargs

    def _arrange(self, outputs: list[Tensor]) -> Any:
        match self._kind:
            case "single":
                return outputs[0]
            case "dict":
                return dict(zip(self._keys, outputs, strict=True))
            case "list":
                return outputs
        return tuple(outputs)

    def _register(self, value: ir.Value) -> None:
        array = constant_of(value)
        name = name_of(value)
        assert array is not None
        tensor = to_tensor(array)
        owner, attribute = self._place(name)
        persistent = value.is_initializer()
        if persistent and tensor.is_floating_point() and tensor.dim() > 0 and not _is_statistic(value):
            owner.register_parameter(attribute, nn.Parameter(tensor))
        else:
            owner.register_buffer(attribute, tensor, persistent=persistent)
        self._places.append((name, owner, attribute))

    def _place(self, name: str) -> tuple[nn.Module, str]:
        """Submodule and attribute for an initializer, by its name; creates the submodule."""
        owner: nn.Module = self
        path = []
        *parents, last = name.split(".")
        for part in parents:
            while self._is_taken(owner, part or "_") and (part or "_") not in owner._modules:
                part += "_"
            part = part or "_"
            if part not in owner._modules:
                owner.add_module(part, nn.Module())
            path.append(part)
            owner = owner.get_submodule(part)
        while not last or self._is_taken(owner, last):
            last += "_"
        self.paths[name] = ".".join([*path, last])
        return owner, last

    def _is_taken(self, owner: nn.Module, attribute: str) -> bool:
        return hasattr(owner, attribute) or (owner is self and attribute in self.reserved)


def _constants(graph: ir.Graph) -> list[ir.Value]:
    """Initializers, and outputs of Constant nodes."""
    nodes = [node.outputs[0] for node in graph if node.op_type == "Constant"]
    return [*graph.initializers.values(), *nodes]


def _is_statistic(value: ir.Value) -> bool:
    return all((use.node.op_type, use.idx) in _STATISTICS for use in value.uses()) and bool(value.uses())


def _structure(model: ir.Model, outputs: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """(kind, keys) of the returned outputs, by the metadata if they say it.

    The entry is {"kind": "single" | "tuple" | "list" | "dict", "names": [...]}; "names" are the keys of a dict.
    """
    entry = model.metadata_props.get(OUTPUTS)
    if entry is None:
        return ("single" if len(outputs) == 1 else "tuple"), outputs
    structure = json.loads(entry)
    return str(structure["kind"]), tuple(structure.get("names") or outputs)
