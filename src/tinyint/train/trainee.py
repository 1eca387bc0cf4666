"""Trainee of training: a module, its inputs, and its conversion to a file."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn

from tinyint.data import Declaration, Sample, input_specs, saved_preprocessing
from tinyint.data.generator import load_function
from tinyint.data.text_input import takes_texts
from tinyint.errors import DataError, ModelError, RecipeError
from tinyint.extras.zoo import MODELS, export
from tinyint.extras.zoo.export import task_of as task_of_module
from tinyint.extras.zoo.samples import Size
from tinyint.extras.zoo.tokens import TEXT_INPUTS
from tinyint.graph.io import is_quantized, load_model, model_fingerprint, save_model
from tinyint.loading import MODEL_FILE, load
from tinyint.proof.agreement import Agreement, agreement
from tinyint.qat import GraphModule, Step, to_torch
from tinyint.qat.export import export as export_int8
from tinyint.qat.export import to_float
from tinyint.qat.prepare import prepare
from tinyint.qat.session import qat_session
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.runtimes import get_runtime, here
from tinyint.runtimes.base import TensorSpec
from tinyint.tasks import TASKS, Task, task_of
from tinyint.train.config import TrainingConfig
from tinyint.train.pretrained import start_from

__all__ = [
    "BEST_MODEL",
    "FLOAT_FILE",
    "MODEL_FILE",
    "Trainee",
    "float_graph",
    "float_trainee",
    "given_model",
    "qat_trainee",
    "without_gradient",
]

BEST_MODEL = "best_model"
FLOAT_FILE = "float.onnx"  # of QAT: the trained weights before they were quantized


Writer: TypeAlias = Callable[[Path, Iterable[Sample], Mapping[str, str]], Agreement | None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trainee:
    """`identity` describes the trainee in words, with a digest.

    `task` and `preprocessing` are what the model says that it is for and takes, if it does. `write` puts its files into
    a directory, with the metadata that it is given; of an int8 model it returns how that agrees with the module on
    samples. `notices` are for the user.
    """

    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    identity: str
    write: Writer
    teacher: nn.Module | None = None
    task: Task | None = None
    preprocessing: Declaration | None = None
    notices: tuple[str, ...] = ()


def float_trainee(config: TrainingConfig) -> Trainee:
    """Float model of the config: zoo, function, or ONNX file.

    Raises ModelError; RecipeError for a config that does not go with the model.
    """
    if config.loss.teacher:
        raise RecipeError("loss.teacher is for `tinyint qat`, where the float model teaches; set it to false")
    source = config.model.source
    if source in MODELS:
        return _of_zoo(config, source)
    if ":" in source and not os.path.exists(source):
        return _of_function(config, source)
    return _of_graph(source)


def _of_zoo(config: TrainingConfig, name: str) -> Trainee:
    entry = MODELS[name]
    shape = config.model.input or ((entry.size,) if entry.text else (3, entry.size, entry.size))
    if entry.text and len(shape) != 1:
        raise RecipeError(f"model.input is {list(shape)}; {name} takes [tokens]")
    if not entry.text and len(shape) != 3:
        raise RecipeError(f"model.input is {list(shape)}; {name} takes [channels, height, width]")
    if TASKS[entry.task].takes_squares and shape[1] != shape[2]:
        raise RecipeError(f"model.input is {list(shape)}; {name} takes squares, [channels, size, size]")
    arguments = ({} if entry.text else {"in_channels": shape[0]}) | config.model.arguments
    module = _seeded(entry.builder, arguments, f"the zoo's {name}", config.seed)
    notices = _started(module, config.model.pretrained)
    image = TensorSpec(name="input", dtype=np.dtype(np.float32), shape=(None, *shape))
    tokens = [TensorSpec(name=each, dtype=np.dtype(np.int64), shape=(None, None)) for each in TEXT_INPUTS]
    return Trainee(
        module=module,
        inputs=tuple(tokens) if entry.text else (image,),
        identity=_identity(f"float training of {name}", arguments, module),
        write=_writer(partial(_exported, module, shape[0] if entry.text else (shape[1], shape[2]))),
        task=task_of_module(module),
        notices=notices,
    )


def _of_function(config: TrainingConfig, spec: str) -> Trainee:
    if config.model.input is None:
        raise RecipeError(
            f"model.input is missing: the shape of one sample that {spec} takes, such as [3, 224, 224]"
        )
    module = _seeded(_function(spec), config.model.arguments, spec, config.seed)
    notices = _started(module, config.model.pretrained)
    inputs, example = _taken(module, config.model.input)
    open_axes = {spec.name: {0: "batch", 1: "length"} for spec in inputs} if takes_texts(inputs) else None
    return Trainee(
        module=module,
        inputs=inputs,
        identity=_identity(f"float training of {spec}", config.model.arguments, module),
        write=_writer(lambda: load(module, example, dynamic_shapes=open_axes)),
        task=getattr(module, "task", None),
        notices=notices,
    )


def _taken(module: nn.Module, shape: tuple[int, ...]) -> tuple[tuple[TensorSpec, ...], tuple[Tensor, ...]]:
    """Inputs of a user's module by their names in `forward`, and samples.

    Those of a text or else one array.
    """
    parameters = inspect.signature(module.forward).parameters.values()
    names = [each.name for each in parameters if each.default is each.empty] or ["input"]
    tokens = tuple(TensorSpec(name=name, dtype=np.dtype(np.int64), shape=(None, None)) for name in names)
    if len(shape) == 1 and takes_texts(tokens):
        return tokens, tuple(torch.ones(2, *shape, dtype=torch.long) for _ in names)
    array = TensorSpec(name=names[0], dtype=np.dtype(np.float32), shape=(None, *shape))
    return (array,), (torch.zeros(2, *shape),)


def _of_graph(path: str) -> Trainee:
    model = float_graph(path)
    module = to_torch(model)
    return Trainee(
        module=module,
        inputs=input_specs(model),
        identity=f"float training of a model ({model_fingerprint(model)[:12]})",
        write=_writer(lambda: with_weights(model, module)),
        task=task_of(model.metadata_props),
        preprocessing=saved_preprocessing(model.metadata_props),
    )


def given_model(config: TrainingConfig) -> str:
    """ONNX file of the config, for QAT.

    Raises ModelError for a network that is yet to be trained.
    """
    source = config.model.source
    if source not in MODELS and (":" not in source or os.path.exists(source)):
        return source
    trained = Path(config.save_dir) / BEST_MODEL
    there = os.path.exists(trained / MODEL_FILE) and not is_quantized(load_model(trained / MODEL_FILE))
    raise ModelError(
        f"model.source {source} is a network that `tinyint train` builds and trains in float; `qat` goes on from its "
        "trained model: give an ONNX file or the best_model/ of `tinyint train`, "
        + (f"--model-path {trained}, and a --save-dir of its own" if there else "--model-path DIR/best_model")
    )


def qat_trainee(config: TrainingConfig, path: str, record: CalibrationRecord) -> Trainee:
    """The float model at `path` with fake quantization. Raises ModelError, RecipeError, TargetError, RecordError."""
    model = float_graph(path)
    recipe, training, notes = config.quantization.resolved()
    settings = training.model_copy(update={"teacher": config.loss.teacher})
    module = prepare(
        model,
        record,
        recipe=recipe,
        target=config.quantization.target,
        settings=settings,
        preprocessing=config.data.preprocessing if recipe.fold_preprocessing else None,
    )
    pixels = module.origin.pixels
    asked = json.dumps([recipe.dump(), module.origin.target.name, training.model_dump(mode="json")])

    def write(directory: Path, samples: Iterable[Sample], metadata: Mapping[str, str]) -> Agreement:
        for made, name in ((to_float(module), FLOAT_FILE), (export_int8(module), MODEL_FILE)):
            made.metadata_props.update({**metadata, **(pixels.metadata() if pixels else {})})
            save_model(made, directory / name)
        if pixels is not None:
            samples = map(pixels.nearest, samples)
        runtime = here(get_runtime(module.origin.target.runtime))
        return agreement(qat_session(module), directory / MODEL_FILE, samples, runtime=runtime)

    return Trainee(
        module=module,
        inputs=input_specs(model),
        identity=f"QAT of a model ({module.origin.fingerprint[:12]}) with recipe {recipe.name} for "
        f"{module.origin.target.name} ({hashlib.sha256(asked.encode()).hexdigest()[:12]})",
        write=write,
        teacher=module.teacher if config.loss.teacher else None,
        task=task_of(model.metadata_props),
        preprocessing=saved_preprocessing(model.metadata_props),
        notices=tuple(notes),
    )


def float_graph(path: str | Path) -> ir.Model:
    """Graph at `path`, a file or a best_model/ directory.

    Raises ModelError, also for an int8 one.
    """
    model = load(path)
    if is_quantized(model):
        raise ModelError(f"'{path}' is quantized already; training starts from the float model")
    return model


def with_weights(model: ir.Model, module: GraphModule) -> ir.Model:
    """Copy of the graph with the module's weights and statistics."""
    result = model.clone()
    state = module.state_dict()
    for name, path in module.paths.items():
        value = result.graph.initializers.get(name)
        if value is not None and path in state:
            value.const_value = ir.tensor(state[path].detach().cpu().numpy().copy(), name=name)
    return result


def without_gradient(module: GraphModule, inputs: Sequence[Tensor]) -> str | None:
    """Last node that blocks the gradient; None if there is none.

    The node nearest to the output that takes values with a gradient and gives one without.
    """
    steps, found = module.steps, list[str]()

    def watched(step: Step) -> Step:
        def run(values: list[Tensor | None]) -> tuple[Tensor, ...]:
            carried = any(value is not None and value.requires_grad for value in values)
            results = step.function(values)
            if carried and not any(result.requires_grad for result in results):
                found.append(step.name)
            return results

        return replace(step, function=run)

    module.steps = [watched(step) for step in steps]
    try:
        module(*inputs)
    finally:
        module.steps = steps
    return f"node {found[-1]!r}" if found else None


def _exported(module: nn.Module, size: Size) -> ir.Model:
    with tempfile.TemporaryDirectory() as directory:
        return load_model(export(module, Path(directory) / MODEL_FILE, size=size, keep_batch_norms=True))


def _writer(make: Callable[[], ir.Model]) -> Writer:
    def write(directory: Path, _: Iterable[Sample], metadata: Mapping[str, str]) -> None:
        model = make()
        model.metadata_props.update(metadata)
        save_model(model, directory / MODEL_FILE)

    return write


def _seeded(function: Callable[..., Any], arguments: Mapping[str, Any], what: str, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            module = function(**arguments)
        except (TypeError, ValueError, OverflowError) as error:
            raise RecipeError(f"model.arguments {dict(arguments)} do not go with {what}: {error}") from error
    if not isinstance(module, nn.Module):
        raise ModelError(f"{what} returned a {type(module).__name__}; expected an nn.Module")
    return module


def _started(module: nn.Module, pretrained: str | None) -> tuple[str, ...]:
    return () if pretrained is None else (start_from(module, pretrained),)


def _function(spec: str) -> Callable[..., Any]:
    try:
        return load_function(spec)
    except DataError as error:
        raise ModelError(f"model.source {spec}: {error}") from error


def _identity(what: str, arguments: Mapping[str, Any], module: nn.Module) -> str:
    shapes = [(name, list(tensor.shape)) for name, tensor in module.state_dict().items()]
    text = json.dumps([dict(arguments), shapes], sort_keys=True, default=str)
    return f"{what} ({hashlib.sha256(text.encode()).hexdigest()[:12]})"
