"""Export of a network to ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn

from tinyint.errors import ModelError
from tinyint.extras.zoo import deform_conv
from tinyint.extras.zoo.deform_conv import DeformConv2d
from tinyint.extras.zoo.registry import build, entry
from tinyint.extras.zoo.samples import Size, samples, takes_text
from tinyint.extras.zoo.tokens import TEXT_INPUTS
from tinyint.files import atomic_write
from tinyint.graph.io import load_model, save_model
from tinyint.tasks import Classification, Task

__all__ = ["OPSET", "export", "task_of"]

OPSET = 17


def export(
    model: str | nn.Module,
    path: str | Path,
    *,
    size: Size | None = None,
    seed: int = 0,
    keep_batch_norms: bool = False,
) -> Path:
    """Writes a module, or the named network with weights of `seed`, to `path`.

    * inputs: "input" (batch, C, height, width) float32 with an open batch; for texts "input_ids", "token_type_ids" and
      "attention_mask" (batch, length) int64, both open
    * outputs: "logits", (batch, classes) or for segmentation (batch, classes, height, width); for detectors "head_0",
      "head_1", …, the coarsest first. The metadata name the task
    * `size`: size of images, or number of tokens, with which the network is traced; by default that of the named
      network, or 224
    * `keep_batch_norms`: for further training; otherwise the exporter folds batch norms into convolutions

    A module is set to eval mode. Returns the path. Raises ModelError for an unknown name, or a network that cannot take
    inputs of this size, DependencyError if a package is missing, OutputError if the file cannot be written.
    """
    if isinstance(model, str):
        size = size or entry(model).size
        module = build(model, seed)
    else:
        module = model.eval()
    text, size = takes_text(module), size or 224
    height, width = (size, size) if isinstance(size, int) else size
    example = samples(module, 2, size=size)
    try:
        with torch.no_grad():
            module(*example)
    except (RuntimeError, IndexError) as error:
        samples_label = f"texts of {width} tokens" if text else f"images of {height}×{width}"
        raise ModelError(f"{type(module).__name__} can't take {samples_label}: {error}") from error
    path = Path(path)
    task = task_of(module)
    outputs = task.output_names()
    inputs = list(TEXT_INPUTS) if text else ["input"]
    axes = {0: "batch", 1: "length"} if text else {0: "batch"}
    with atomic_write(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The tracing exporter names nodes by their path in the module, to which scopes in recipes refer, and keeps
        # GlobalAveragePool and Flatten; the dynamo exporter numbers the nodes and decomposes both.
        torch.onnx.export(
            module,
            example,
            temporary,
            dynamo=False,
            opset_version=_opset(module),
            training=torch.onnx.TrainingMode.PRESERVE if keep_batch_norms else torch.onnx.TrainingMode.EVAL,
            do_constant_folding=not keep_batch_norms,
            input_names=inputs,
            output_names=outputs,
            dynamic_axes={**dict.fromkeys(inputs, axes), **{name: {0: "batch"} for name in outputs}},
        )
        _declare(temporary, task)
    return path


def task_of(module: nn.Module) -> Task:
    """Task of a network: its attribute `task`, or classification."""
    task = getattr(module, "task", None)
    return task if isinstance(task, Task) else Classification()


def _opset(module: nn.Module) -> int:
    deforms = any(isinstance(layer, DeformConv2d) for layer in module.modules())
    return deform_conv.OPSET if deforms else OPSET


def _declare(path: Path, task: Task) -> None:
    model = load_model(path)
    model.metadata_props.update(task.to_metadata())
    save_model(model, path)
