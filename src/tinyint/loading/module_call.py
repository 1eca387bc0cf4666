"""Torch module with nested arguments as a function of named tensors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tinyint.errors import ModelError
from tinyint.loading.structure import Kind, filled, leaf_paths, leaves, names_of, output_kind

__all__ = ["Axes", "Call", "Result", "name_of", "reason_of"]

Axes = Mapping[str, Mapping[int, str]]


def name_of(module: nn.Module) -> str:
    """Name of the module's class, for messages."""
    return type(module).__name__


def reason_of(error: Exception) -> str:
    """First line of an error's message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


@dataclass(frozen=True, kw_only=True)
class Result:
    """Tensors that a module returned, with their names in its result."""

    kind: Kind
    names: list[str]
    tensors: list[Tensor]


@dataclass(frozen=True, kw_only=True)
class Call:
    """Call of a module: its arguments, and the tensors in them by name."""

    module: nn.Module
    forward: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    names: list[str]
    tensors: list[Tensor]

    @classmethod
    def of(cls, module: nn.Module, example_inputs: Any) -> Call:
        parameter = next(module.parameters(), None)
        device = None if parameter is None else parameter.device
        args, kwargs = _arguments(module, example_inputs)
        arrays = iter([torch.as_tensor(a, device=device) for a in leaves((args, kwargs), np.ndarray)])
        args, kwargs = filled((args, kwargs), np.ndarray, arrays)
        try:
            bound = inspect.signature(module.forward).bind(*args, **kwargs)
        except TypeError as error:
            raise ModelError(f"the example inputs do not fit {name_of(module)}.forward: {error}") from error
        inputs = [(p, t) for p, t in leaf_paths(_merged(bound)) if isinstance(t, Tensor)]
        if not inputs:
            raise ModelError(f"there is no tensor in the example inputs of {name_of(module)}")
        return cls(
            module=module,
            forward=module.forward,
            args=bound.args,
            kwargs=bound.kwargs,
            names=names_of([path for path, _ in inputs], "input"),
            tensors=[tensor for _, tensor in inputs],
        )

    def run(self, tensors: Sequence[Tensor]) -> Result:
        """Result of the module on these tensors.

        Raises ModelError with the reason if it fails.
        """
        args, kwargs = filled((self.args, self.kwargs), Tensor, iter(tensors))
        try:
            result = self.forward(*args, **kwargs)
        except Exception as error:  # the user's code may raise anything
            shapes = ", ".join(f"{n} {tuple(t.shape)}" for n, t in zip(self.names, tensors, strict=True))
            raise ModelError(
                f"{name_of(self.module)} fails on inputs of {shapes}: {reason_of(error)}"
            ) from error
        outputs = [(path, leaf) for path, leaf in leaf_paths(result) if leaf is not None]
        for path, leaf in outputs:
            if not isinstance(leaf, Tensor):
                raise ModelError(
                    f"{name_of(self.module)} returns a {type(leaf).__name__} at '{'.'.join(path) or 'output'}'; an "
                    "ONNX graph returns tensors only: leave it out"
                )
        if not outputs:
            raise ModelError(f"{name_of(self.module)} returns no tensor")
        kind = output_kind(result)
        paths = [("output", *path) if kind in ("tuple", "list") else path for path, _ in outputs]
        return Result(kind=kind, names=names_of(paths, "output"), tensors=[leaf for _, leaf in outputs])

    def batch_axes(self) -> dict[str, dict[int, str]]:
        """Axis 0 of each input that has the first input's length there."""
        sizes = [tensor.shape[0] if tensor.ndim else None for tensor in self.tensors]
        batch = next((size for size in sizes if size is not None), None)
        return {
            name: {0: "batch"}
            for name, size in zip(self.names, sizes, strict=True)
            if size == batch and batch is not None
        }

    def doubled(self, axes: Axes) -> list[Tensor]:
        """Example inputs with each open axis twice as long.

        A trace could take an axis of length 1 as fixed.
        """
        doubled = []
        for name, tensor in zip(self.names, self.tensors, strict=True):
            for axis in axes.get(name, {}):
                tensor = torch.cat([tensor, tensor], dim=axis)
            doubled.append(tensor)
        return doubled

    def value_names(self, result: Result) -> list[str]:
        """Names of the graph's outputs.

        They are those of the result, changed if an input has the same name.
        """
        return [f"{name}.output" if name in self.names else name for name in result.names]


def _arguments(module: nn.Module, example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments.

    A mapping holds keyword arguments if `forward` has such ones, else it is one argument.
    """
    if isinstance(example_inputs, Mapping):
        parameters = inspect.signature(module.forward).parameters
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()) or set(example_inputs) <= set(
            parameters
        ):
            return (), dict(example_inputs)
        return (example_inputs,), {}
    return (
        (tuple(example_inputs), {}) if isinstance(example_inputs, list | tuple) else ((example_inputs,), {})
    )


def _merged(bound: inspect.BoundArguments) -> dict[str, Any]:
    """Arguments by name, including those of `**kwargs`."""
    merged: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        if bound.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            merged.update(value)
        else:
            merged[name] = value
    return merged
