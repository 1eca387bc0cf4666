"""A graph that grows node by node: every tensor's type and shape are known, and constants come in several forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
T = TypeVar("T")

FLOATS = (np.dtype("float32"), np.dtype("float16"), np.dtype("float64"))
MOST_ELEMENTS = 6_000


@dataclass(frozen=True)
class Tensor:
    """`shape` is the one of the samples, whatever the model declares; `array` is there for constants."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    array: Array | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_float(self) -> bool:
        return self.dtype in FLOATS


class UnfitError(Exception):
    """The operator does not take this tensor, or not in this opset."""


def require(condition: object) -> None:
    if not condition:
        raise UnfitError


@dataclass
class Style:
    """How a model's tensors are called and its constants held."""

    names: tuple[str, ...] = ("t{}",)
    named_nodes: bool = True
    inputs_hold_constants: bool = False  # initializers are listed as inputs, as before IR version 4
    constant_nodes: float = 0.1  # the share of constants that nodes hold
    shared: float = 0.1  # the share of constants that are taken again


@dataclass
class Growing:
    rng: np.random.Generator
    opset: int
    dtype: np.dtype[Any] = FLOATS[0]
    style: Style = field(default_factory=Style)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)
    inputs: list[Tensor] = field(default_factory=list)
    made: list[Tensor] = field(default_factory=list)
    constants: list[Tensor] = field(default_factory=list)
    outer: Growing | None = None  # the graph in whose body this one is

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.rng.integers(len(options)))]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def name(self, stem: str = "") -> str:
        root = self
        while root.outer is not None:
            root = root.outer
        root_count = getattr(root, "_count", 0)
        root._count = root_count + 1  # type: ignore[attr-defined]
        return self.pick(self.style.names).format(root_count) + stem

    def constant(self, array: Array, *, shared: bool = True) -> str:
        """The name of a constant: an initializer, an input's default, a Constant node, or one that is there."""
        alike = [c for c in self.constants if c.dtype == array.dtype and c.shape == array.shape]
        if shared and array.dtype in FLOATS and array.ndim > 1 and alike and self.chance(self.style.shared):
            return self.pick(alike).name
        name = self.name()
        tensor = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        if self.chance(self.style.constant_nodes):
            self.nodes.append(helper.make_node("Constant", [], [name], name=self._node_name(), value=tensor))
        else:
            self.initializers.append(tensor)
        self.constants.append(Tensor(name, array.dtype, array.shape, array))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def _node_name(self) -> str:
        return self.name("/node") if self.style.named_nodes else ""

    def add(
        self, op_type: str, inputs: Sequence[str | Tensor], outputs: int = 1, **attributes: Any
    ) -> list[Tensor]:
        """Appends a node. Raises UnfitError if ONNX's own rules of shapes and types do not hold."""
        names = [value.name if isinstance(value, Tensor) else value for value in inputs]
        known = {t.name: t for t in (*self._visible(), *(v for v in inputs if isinstance(v, Tensor)))}
        given = {k: v for k, v in attributes.items() if v is not None}
        node = helper.make_node(
            op_type, names, [self.name() for _ in range(outputs)], self._node_name(), **given
        )
        try:
            schema = onnx.defs.get_schema(op_type, self.opset, "")
            found = onnx.shape_inference.infer_node_outputs(
                schema,
                node,
                {n: _type(known[n]) for n in names if n},
                {
                    n: numpy_helper.from_array(array, n)
                    for n in names
                    if n and (array := known[n].array) is not None
                },
                opset_imports=[helper.make_opsetid("", self.opset)],
                ir_version=10,
            )
        except (
            onnx.defs.SchemaError,
            onnx.shape_inference.InferenceError,
            onnx.checker.ValidationError,
        ) as error:
            raise UnfitError(str(error)) from error
        results = [_tensor(name, found.get(name)) for name in node.output]
        self.nodes.append(node)
        self.made.extend(results)
        return results

    def _visible(self) -> list[Tensor]:
        own = [*self.inputs, *self.made, *self.constants]
        return own if self.outer is None else [*self.outer._visible(), *own]

    def source(self) -> Tensor:
        """What the next node reads: most often the newest tensor, else any, for fan-out and skip connections."""
        floats = [
            t
            for t in (*self.inputs, *self.made)
            if t.is_float and t.shape and np.prod(t.shape) <= MOST_ELEMENTS
        ]
        require(floats)
        return floats[-1] if self.chance(0.7) else self.pick(floats)

    def like(self, x: Tensor) -> Tensor | None:
        """Another tensor of the same type and shape."""
        alike = [
            t
            for t in (*self.inputs, *self.made)
            if (t.dtype, t.shape) == (x.dtype, x.shape) and t.name != x.name
        ]
        return self.pick(alike) if alike else None


def _type(tensor: Tensor) -> onnx.TypeProto:
    return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(tensor.dtype), tensor.shape)


def _tensor(name: str, inferred: onnx.TypeProto | None) -> Tensor:
    require(inferred is not None and inferred.tensor_type.HasField("shape"))
    assert inferred is not None
    dims = inferred.tensor_type.shape.dim
    require(all(dim.HasField("dim_value") for dim in dims))
    shape = tuple(dim.dim_value for dim in dims)
    require(min(shape, default=1) > 0 and np.prod(shape, dtype=np.int64) <= 4 * MOST_ELEMENTS)
    return Tensor(name, helper.tensor_dtype_to_np_dtype(inferred.tensor_type.elem_type), shape)
