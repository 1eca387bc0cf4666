"""Export of a torch module to an ONNX graph by torch's own exporter."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn

from tinyint.errors import ModelError
from tinyint.graph.edit import GraphEditor
from tinyint.graph.io import load_model
from tinyint.loading.module_call import Axes, Call, Result, name_of, reason_of
from tinyint.metadata import OUTPUTS
from tinyint.runtimes import get_runtime

__all__ = ["OUTPUTS", "load_module"]

_OPSETS = (17, 20)  # that of the zoo; and the exporter's newest, for the few operators that need it
_TOLERANCE, _HALF_TOLERANCE = 1e-3, 2e-2  # relative to the largest value


def load_module(module: nn.Module, example_inputs: Any, dynamic_shapes: Axes | None) -> ir.Model:
    """Graph of `module` in eval mode, checked on the examples; see `tinyint.load`.

    The metadata entry OUTPUTS describes the module's result: its kind, and a name per graph output. Nested containers
    are flattened in order, and None is left out.

    Raises ModelError for missing or wrong example inputs, for a module that the exporter cannot trace, and for a graph
    whose results differ from the module's.
    """
    module = _unwrapped(module)
    if example_inputs is None:
        raise ModelError(
            f"the model is a torch module ({name_of(module)}), which needs example inputs: "
            "give tinyint.load(module, example_inputs) with a tensor, a tuple of the arguments of forward, or a "
            "mapping of its keyword arguments"
        )
    with _state_restored(module), torch.no_grad():
        module.eval()
        call = Call.of(module, example_inputs)
        axes = call.batch_axes() if dynamic_shapes is None else _checked(dynamic_shapes, call)
        inputs, result = call.tensors, call.run(call.tensors)
        examples = [(inputs, result)]
        try:
            inputs = call.doubled(axes)
            result = call.run(inputs)
            examples.append((inputs, result))
        except ModelError:
            if dynamic_shapes is not None:
                raise
            axes, inputs = {}, call.tensors  # a module for one batch size
        if len(result.tensors) != len(examples[0][1].tensors):
            raise ModelError(f"{name_of(module)} returns more or fewer tensors where its inputs are longer")
        model = _exported(call, inputs, {**axes, **_output_axes(axes, call, examples[0][1], result)})
        model.graph.name = name_of(module)
        _separate_equal_weights(model, module)
        with suppress(ModelError):  # other values uncover a branch on values
            negated = [-tensor if tensor.is_floating_point() else tensor for tensor in inputs]
            examples.append((negated, call.run(negated)))
        _check_results(model, call, examples)
    model.metadata_props[OUTPUTS] = json.dumps({"kind": result.kind, "names": result.names})
    return model


def _unwrapped(module: nn.Module) -> nn.Module:
    """The user's module itself; raises ModelError for a form that cannot be exported."""
    module = getattr(module, "_orig_mod", module)  # of torch.compile
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        module = module.module
    if isinstance(module, torch.jit.ScriptModule):
        raise ModelError("the model is a scripted module; give the nn.Module that it was made from")
    if any(weight.dtype == torch.bfloat16 for weight in module.parameters()):
        raise ModelError(f"{name_of(module)} is in bfloat16, which has no kernels; give module.float()")
    return module


@contextmanager
def _state_restored(module: nn.Module) -> Iterator[None]:
    """Restores the module's modes, its `forward` and torch's random state at the end."""
    modes = {part: part.training for part in module.modules()}
    forward = module.__dict__.get("forward")
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            for part, training in modes.items():
                part.training = training
            if forward is not None:
                module.forward = forward
            else:
                module.__dict__.pop("forward", None)


def _checked(axes: Axes, call: Call) -> dict[str, Mapping[int, str]]:
    for name, dims in axes.items():
        if name not in call.names:
            raise ModelError(
                f"dynamic_shapes names the input {name!r}; {name_of(call.module)} has {', '.join(call.names)}"
            )
        rank = call.tensors[call.names.index(name)].ndim
        if any(not 0 <= axis < rank for axis in dims):
            raise ModelError(f"dynamic_shapes: input {name!r} has {rank} axes, from 0 on, not {sorted(dims)}")
    return dict(axes)


def _output_axes(axes: Axes, call: Call, small: Result, large: Result) -> dict[str, dict[int, str]]:
    """Axes of outputs whose length changed with that of the inputs."""
    batch = {dims[0] for dims in axes.values() if 0 in dims}
    sole = batch.pop() if len(batch) == 1 else None
    output_axes: dict[str, dict[int, str]] = {}
    for name, before, after in zip(call.value_names(small), small.tensors, large.tensors, strict=True):
        changed = [i for i, (a, b) in enumerate(zip(before.shape, after.shape, strict=False)) if a != b]
        output_axes[name] = {i: sole if sole and i == 0 else f"{name}.{i}" for i in changed}
    return output_axes


def _exported(call: Call, inputs: Sequence[Tensor], axes: Axes) -> ir.Model:
    """Graph of the call; the module's `forward` is replaced by one from tensors to tensors."""
    module, outputs = call.module, call.value_names(call.run(inputs))

    def flat(*tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(call.run(tensors).tensors)

    module.forward = flat  # not a wrapper module, whose name would begin that of each node
    failure: Exception | None = None
    for opset in _OPSETS:
        try:
            return _export(module, inputs, call.names, outputs, axes, opset)
        except torch.onnx.errors.UnsupportedOperatorError as error:
            failure = error
        except Exception as error:  # errors of the exporter and of the traced code have no common base
            failure = error
            break
    assert failure is not None
    raise ModelError(f"{name_of(module)} cannot be exported to ONNX: {reason_of(failure)}") from failure


def _export(
    module: nn.Module,
    inputs: Sequence[Tensor],
    names: list[str],
    outputs: list[str],
    axes: Axes,
    opset: int,
) -> ir.Model:
    with (
        tempfile.TemporaryDirectory(prefix="tinyint-", ignore_cleanup_errors=True) as directory,
        warnings.catch_warnings(),
        _native_output_dropped(),
    ):
        warnings.simplefilter("ignore")  # about values that a trace fixes; the results are checked later
        path = Path(directory) / "model.onnx"
        # The tracing exporter, as for the zoo: it names nodes by their path in the module, and keeps operators whole.
        # With PRESERVE and without folding, batch norms stay and weights keep their names.
        torch.onnx.export(
            module,
            tuple(inputs),
            path,
            dynamo=False,
            verbose=False,
            opset_version=opset,
            input_names=names,
            output_names=outputs,
            dynamic_axes={name: dict(dims) for name, dims in axes.items() if dims},
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
        )
        return load_model(path)


@contextmanager
def _native_output_dropped() -> Iterator[None]:
    """Drops what native code prints: the exporter prints the graph if it fails, past sys.stdout."""
    sys.stdout.flush()
    stdout = os.dup(1)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def _separate_equal_weights(model: ir.Model, module: nn.Module) -> None:
    """Gives each weight its own initializer, in place.

    Of equal weights, such as the ones and zeros of new batch norms, the exporter keeps one, and writes Identity for the
    others; in training they would be tied. Weights that the module itself shares stay shared.
    """
    state, editor = module.state_dict(keep_vars=True), GraphEditor(model.graph)
    for node in list(model.graph):
        name, source = node.outputs[0].name, node.inputs[0] if node.inputs else None
        if node.op_type != "Identity" or name not in state or source is None or source.name not in state:
            continue
        if not source.is_initializer() or state[name].data_ptr() == state[source.name].data_ptr():
            continue
        editor.supplant(node.outputs[0], state[name].detach().cpu().numpy().copy())
        model.graph.remove(node, safe=True)


def _check_results(model: ir.Model, call: Call, examples: list[tuple[list[Tensor], Result]]) -> None:
    """Raises ModelError if the graph fails on inputs of the module, or gives other results."""
    module = name_of(call.module)
    session = get_runtime("onnxruntime").open(model)
    names = {spec.name for spec in session.inputs}
    for inputs, result in examples:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
        arrays = {n: t.detach().cpu().numpy() for n, t in zip(call.names, inputs, strict=True) if n in names}
        try:
            outputs = session.run(arrays)
        except ModelError as error:
            raise ModelError(
                f"{module} was exported, but the graph fails on inputs of {shapes}, which the module takes: forward "
                "makes a number of a length; use x.shape[0] as it is, or give dynamic_shapes={} for inputs of one shape"
            ) from error
        for name, tensor in zip(call.value_names(result), result.tensors, strict=True):
            expected, array = tensor.detach().cpu().numpy(), outputs[name]
            if array.shape != expected.shape or _distance(array, expected) > 1:
                raise ModelError(
                    f"{module} was exported, but output {name!r} of the graph is not what the module gives on inputs "
                    f"of {shapes}: forward decides on values or lengths, or is random; rewrite that with torch.where "
                    "or x.shape, or export it in another way and give the ONNX file"
                )


def _distance(array: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    """Largest difference, in units of the rounding error; integers and booleans must be equal."""
    if not np.issubdtype(expected.dtype, np.floating):
        return 0.0 if np.array_equal(array, expected) else np.inf
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(array)):
        return np.inf
    if not finite.any():
        return 0.0
    tolerance = _HALF_TOLERANCE if expected.dtype == np.float16 else _TOLERANCE
    a, b = array[finite].astype(np.float64), expected[finite].astype(np.float64)
    return float(np.abs(a - b).max() / (tolerance * np.abs(b).max() + 1e-6))
