"""Registry of tasks, and inference of a model's task."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Union

from pydantic import Field, TypeAdapter, ValidationError

from tinyint.data import LabelKind
from tinyint.errors import DataError, ModelError, nearest
from tinyint.metadata import POSTPROCESSING, TASK
from tinyint.numbers.numerics import Array
from tinyint.tasks.classification import Classification
from tinyint.tasks.detection import Detection
from tinyint.tasks.segmentation import Segmentation
from tinyint.tasks.task import Task

__all__ = [
    "TASKS",
    "infer_task",
    "loss_options",
    "postprocessing_of",
    "require_labels",
    "task_of",
    "tasks_for_labels",
    "tasks_with",
]

TASKS: dict[str, type[Task]] = {
    "classification": Classification,  # first: the task of a model about which nothing is known
    "detection": Detection,
    "segmentation": Segmentation,
}


def task_of(metadata: Mapping[str, str]) -> Task | None:
    """Task that `to_metadata` saved, or None; raises ModelError for a damaged entry."""
    text = metadata.get(TASK)
    if text is None:
        return None
    try:
        return _reader(tuple(TASKS.values())).validate_json(text)
    except ValidationError as error:
        first: Any = error.errors(include_url=False)[0]
        if first["type"] == "union_tag_invalid":
            reason = f"unknown task {first['ctx']['tag']!r}: {nearest(str(first['ctx']['tag']), TASKS)}"
        else:
            key = ".".join(str(part) for part in first["loc"])
            reason = f"{key}: {first['msg']}" if key else first["msg"]
        raise ModelError(f"the model's metadata entry {TASK} is damaged: {reason}") from None


@cache
def _reader(tasks: tuple[type[Task], ...]) -> TypeAdapter[Task]:
    union: Any = Annotated[Union[tasks], Field(discriminator="task")]  # noqa: UP007  a tuple of types
    return TypeAdapter(union)


def infer_task(labels: LabelKind | None, outputs: Mapping[str, Array]) -> Task:
    """Task of a model without metadata, from its outputs and the data's labels.

    Raises ModelError for a task that needs details which only metadata can give.
    """
    candidates = [task for task in TASKS.values() if labels in (None, task.label_kind)]
    return next((task for task in candidates if task.recognizes(outputs)), candidates[0]).undescribed()


def tasks_for_labels(labels: LabelKind) -> str:
    """Names of the tasks that learn from such labels, for a message."""
    return " or ".join(name for name, task in TASKS.items() if task.label_kind is labels)


def require_labels(labels: LabelKind | None, task: Task, name: str) -> None:
    """Raises DataError if the labels of `name` are not those of the task.

    None fits any.
    """
    needed = task.label_kind
    if labels not in (None, needed):
        assert labels is not None
        raise DataError(
            f"{name} is labelled with {labels} ({tasks_for_labels(labels)}), but the model is for {task.task}, which "
            f"needs {needed}: give {needed.forms}"
        )


def tasks_with(tail_option: str) -> str:
    """Names of the tasks that have this option of `TailOptions`, for a message."""
    return " and ".join(name for name, task in TASKS.items() if tail_option in task.tail_options)


def loss_options() -> frozenset[str]:
    """Keys of a training's `loss` that only some tasks have."""
    return frozenset(key for task in TASKS.values() for key in task.loss_options)


def postprocessing_of(metadata: Mapping[str, str]) -> str | None:
    """Kind of the tail that a model has already.

    Raises ModelError for a damaged entry.
    """
    kind = metadata.get(POSTPROCESSING)
    kinds = [tail for task in TASKS.values() for tail in task.tails]
    if kind is not None and kind not in kinds:
        raise ModelError(f"the model's metadata entry {POSTPROCESSING} is {kind!r}; {nearest(kind, kinds)}")
    return kind
