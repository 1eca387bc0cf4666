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
    "classification": Classification,  # first: what a model is taken for that nothing says more of
    "detection": Detection,
    "segmentation": Segmentation,
}


def task_of(metadata: Mapping[str, str]) -> Task | None:
    """Task saved by `to_metadata`, or None.

    Raises ModelError when the entry is damaged.
    """
    text = metadata.get(TASK)
    if text is None:
        return None
    try:
        return _reader(tuple(TASKS.values())).validate_json(text)
    except ValidationError as error:
        first: Any = error.errors(include_url=False)[0]
        if first["type"] == "union_tag_invalid":
            told = f"unknown task {first['ctx']['tag']!r}: {nearest(str(first['ctx']['tag']), TASKS)}"
        else:
            place = ".".join(str(part) for part in first["loc"])
            told = f"{place}: {first['msg']}" if place else first["msg"]
        raise ModelError(f"the model's metadata entry {TASK} is damaged: {told}") from None


@cache
def _reader(tasks: tuple[type[Task], ...]) -> TypeAdapter[Task]:
    union: Any = Annotated[Union[tasks], Field(discriminator="task")]  # noqa: UP007  a tuple of types
    return TypeAdapter(union)


def infer_task(labels: LabelKind | None, outputs: Mapping[str, Array]) -> Task:
    """Task of an unmarked model, by its labels and outputs.

    By the labels of its data, if they are known.

    Raises ModelError where the task needs what only the model's metadata can say.
    """
    possible = [task for task in TASKS.values() if labels in (None, task.label_kind)]
    return next((task for task in possible if task.recognizes(outputs)), possible[0]).undescribed()


def tasks_for_labels(labels: LabelKind) -> str:
    """The names of the tasks that learn from such labels."""
    return " or ".join(name for name, task in TASKS.items() if task.label_kind is labels)


def require_labels(labels: LabelKind | None, task: Task, name: str) -> None:
    """Raises DataError when the labels of `name` are not the task's.

    None can be any.
    """
    wanted = task.label_kind
    if labels not in (None, wanted):
        assert labels is not None
        raise DataError(
            f"{name} is labelled with {labels} ({tasks_for_labels(labels)}), but the model is for {task.task}, which "
            f"needs {wanted}: give {wanted.forms}"
        )


def tasks_with(tail_option: str) -> str:
    """The names of the tasks that have an option of `TailOptions`."""
    return " and ".join(name for name, task in TASKS.items() if tail_option in task.tail_options)


def loss_options() -> frozenset[str]:
    """The keys of a training's `loss` that only some tasks have."""
    return frozenset(key for task in TASKS.values() for key in task.loss_options)


def postprocessing_of(metadata: Mapping[str, str]) -> str | None:
    """The tail that a model has already. Raises ModelError when the entry is damaged."""
    text = metadata.get(POSTPROCESSING)
    known = [kind for task in TASKS.values() for kind in task.tails]
    if text is not None and text not in known:
        raise ModelError(f"the model's metadata entry {POSTPROCESSING} is {text!r}; {nearest(text, known)}")
    return text
