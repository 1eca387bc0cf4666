"""The verb `export`: a model with what its users need behind it, in one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from tinyint.api.opening import runtime_for
from tinyint.api.source import Model, Source
from tinyint.api.subject import resolve_task
from tinyint.errors import DataError, ModelError
from tinyint.files import require_writable
from tinyint.graph.io import is_quantized, save_model
from tinyint.graph.names import name_of
from tinyint.runtimes import Runtime, here
from tinyint.tasks import Classification, Detection, Segmentation, TaskInfo, TaskName
from tinyint.tasks.tails import (
    Postprocessing,
    Suppression,
    append,
    argmax_tail,
    boxes_tail,
    detections_tail,
    postprocessing_of,
    softmax_tail,
)

__all__ = ["Exported", "export"]

_RANKS = {"classification": 2, "segmentation": 4}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written.

    * `postprocessing`: what stands behind the network; None for the model as it was
    * `outputs`: their names
    * `runtime`: where it was opened; `int8_nodes`: how many of its nodes run in int8 there, no fewer than before
    """

    path: Path
    task: TaskName
    postprocessing: Postprocessing | None
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
    example_inputs: Any = None,
) -> Exported:
    """Writes `model`, float or int8, with its postprocessing, to `output`, and opens it in the runtime it is for.

    * classification: `probabilities` (N, C) with `with_softmax`, else the logits
    * segmentation: `labels` (N, H, W), or `probabilities` (N, C, H, W) with `with_softmax`, or else the logits
    * detection: `boxes` (N, M, 4) and `scores` (N, C, M), or with `nms` `detections` (K, 7); see `boxes_tail`

    Raises ModelError for a model that does not say its task, or that has a postprocessing already; DataError for an
    option that does not go with the task; OutputError.
    """
    source = Source.of(model, example_inputs)
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
    _check_options(info.task, with_softmax=with_softmax, without_argmax=without_argmax, nms=nms is not None)
    found = _tail(source.model.graph, info, with_softmax, without_argmax, nms)
    joined = source.model.clone() if found is None else append(source.model, *found)
    joined.metadata_props.update(info.to_metadata())
    runtime = here(runtime_for(source.model))
    count = _int8_nodes(joined, runtime)
    if is_quantized(source.model) and count < (before := _int8_nodes(source.model, runtime)):
        raise ModelError(
            f"{before - count} of {before} nodes of {source.name} no longer run in int8 on {runtime.name} with "
            f"{found[1] if found else 'nothing'} behind them; please report it"
        )
    runtime.open(joined)
    save_model(joined, output)
    return Exported(
        path=Path(output),
        task=info.task,
        postprocessing=None if found is None else found[1],
        outputs=tuple(name_of(value) for value in joined.graph.outputs),
        runtime=runtime.name,
        int8_nodes=count,
    )


def _tail(
    graph: ir.Graph, info: TaskInfo, with_softmax: bool, without_argmax: bool, nms: Suppression | None
) -> tuple[ir.Model, Postprocessing] | None:
    names = [name_of(value) for value in graph.outputs]
    match info:
        case Detection() if nms is not None:
            return detections_tail(info, names, nms), "detections"
        case Detection():
            return boxes_tail(info, names), "boxes"
        case Segmentation() if with_softmax:
            return softmax_tail(_logits(graph, info.task), pixels=True), "softmax"
        case Segmentation() if not without_argmax:
            return argmax_tail(_logits(graph, info.task)), "argmax"
        case Classification() if with_softmax:
            return softmax_tail(_logits(graph, info.task)), "softmax"
    return None


def _logits(graph: ir.Graph, task: str) -> str:
    """The first output of as many axes as the task's logits have, or of unknown shape."""
    for value in graph.outputs:
        if value.shape is None or len(value.shape) == _RANKS[task]:
            return name_of(value)
    seen = ", ".join(f"{value.name!r} {value.shape}" for value in graph.outputs)
    raise ModelError(f"the model is for {task}, but none of its outputs has {_RANKS[task]} axes: {seen}")


def _check_options(task: TaskName, **given: bool) -> None:
    for option, wanted in (
        ("with_softmax", ("classification", "segmentation")),
        ("without_argmax", ("segmentation",)),
        ("nms", ("detection",)),
    ):
        if given[option] and task not in wanted:
            flag = "--" + option.replace("_", "-")
            raise DataError(
                f"{flag} is for {' and '.join(wanted)}, but the model is for {task}; leave it out"
            )


def _int8_nodes(model: ir.Model, runtime: Runtime) -> int:
    return sum(node.int8 for node in runtime.executed(model))
