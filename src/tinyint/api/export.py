"""The verb `export`: a model with its postprocessing in one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from tinyint.api.given_model import GivenModel, Model
from tinyint.api.opening import runtime_for
from tinyint.api.subject import resolve_task
from tinyint.errors import DataError, ModelError
from tinyint.files import require_writable
from tinyint.graph.io import is_quantized, save_model
from tinyint.graph.names import name_of
from tinyint.runtimes import Runtime, here
from tinyint.tasks import Task, postprocessing_of
from tinyint.tasks.registry import tasks_with
from tinyint.tasks.tails import Suppression, TailOptions, append

__all__ = ["Exported", "export"]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """Record of an `export` call.

    * `postprocessing`: what stands after the network; None for the model as it was
    * `outputs`: their names
    * `runtime`: where it was opened; `int8_nodes`: how many of its nodes run in int8 there, no fewer than before
    """

    path: Path
    task: str
    postprocessing: str | None
    outputs: tuple[str, ...]
    runtime: str
    int8_nodes: int


def export(
    model: Model,
    output: str | Path,
    *,
    task: str | None = None,
    with_softmax: bool = False,
    without_argmax: bool = False,
    nms: Suppression | None = None,
) -> Exported:
    """Writes `model` with its postprocessing to `output`, and opens it.

    Float or int8; in the runtime it is for.

    * classification: `probabilities` (N, C) with `with_softmax`, else the logits
    * segmentation: `labels` (N, H, W), or `probabilities` (N, C, H, W) with `with_softmax`, or else the logits
    * detection: `boxes` (N, M, 4) and `scores` (N, C, M), or with `nms` `detections` (K, 7); see `boxes_tail`

    Raises ModelError for a model that does not say its task, or that has a postprocessing already; DataError for an
    option that does not go with the task; OutputError.
    """
    source = GivenModel.of(model)
    require_writable(Path(output), keep=source.files)
    info = resolve_task(task, source.model.metadata_props)
    if info is None:
        raise ModelError(
            f"{source.name} does not say what it is for; give --task classification or segmentation"
        )
    present = postprocessing_of(source.model.metadata_props)
    if present is not None:
        raise ModelError(
            f"{source.name} is exported already, with {present}; give the model that it was made from"
        )
    options = TailOptions(with_softmax=with_softmax, without_argmax=without_argmax, nms=nms)
    _check_options(options, info)
    tail = info.tail(source.model.graph, options)
    joined = source.model.clone() if tail is None else append(source.model, tail)
    joined.metadata_props.update(info.to_metadata())
    runtime = here(runtime_for(source.model))
    count = _int8_nodes(joined, runtime)
    if is_quantized(source.model) and count < (before := _int8_nodes(source.model, runtime)):
        raise ModelError(
            f"{before - count} of {before} nodes of {source.name} no longer run in int8 on {runtime.name} with "
            f"{tail.kind if tail else 'nothing'} after them; please report it"
        )
    runtime.open(joined)
    save_model(joined, output)
    return Exported(
        path=Path(output),
        task=info.task,
        postprocessing=None if tail is None else tail.kind,
        outputs=tuple(name_of(value) for value in joined.graph.outputs),
        runtime=runtime.name,
        int8_nodes=count,
    )


def _check_options(options: TailOptions, task: Task) -> None:
    for option in options.given():
        if option not in task.tail_options:
            flag = "--" + option.replace("_", "-")
            raise DataError(
                f"{flag} is for {tasks_with(option)}, but the model is for {task.task}; leave it out"
            )


def _int8_nodes(model: ir.Model, runtime: Runtime) -> int:
    return sum(node.int8 for node in runtime.executed(model))
