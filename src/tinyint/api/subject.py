"""A model that is run as it is, on data of its task."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast

from tinyint.api.given_model import Model
from tinyint.api.opening import open as open_model
from tinyint.api.resizing import require_image_labels
from tinyint.data import Dataset
from tinyint.errors import DataError, nearest
from tinyint.graph.source import metadata, model_label
from tinyint.loading import is_module, onnx_source
from tinyint.quantization.pixels import PixelSession
from tinyint.runtimes import Feeds, Session
from tinyint.runtimes.outputs import tensors_of
from tinyint.tasks import TASKS, Task, infer_task, task_of

__all__ = ["Subject", "resolve_task", "task_for"]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Running model: its session, metadata and label for messages."""

    session: Session
    facts: Mapping[str, str]
    label: str

    @classmethod
    def of(
        cls, model: Model, runtime: str | None, threads: int | None, example_inputs: Any = None
    ) -> Subject:
        """Raises ModelError and DependencyError, as `tinyint.open` does."""
        if is_module(model) and runtime is None:
            return cls._of_module(model, example_inputs)
        source = onnx_source(model, example_inputs)
        return cls(
            session=open_model(source, runtime, threads), facts=metadata(source), label=model_label(source)
        )

    def feeds(self, given: Feeds) -> Feeds:
        """Inputs of the model itself for the given ones."""
        return self.session.preprocessed(given) if isinstance(self.session, PixelSession) else given

    @classmethod
    def _of_module(cls, module: Any, example_inputs: Any) -> Subject:
        from tinyint.loading.module_session import ModuleSession  # these need torch
        from tinyint.qat.qat_module import QatModule
        from tinyint.qat.session import qat_session

        label = type(module).__name__
        if isinstance(module, QatModule):
            return cls(session=qat_session(module), facts=module.origin.prepared.metadata_props, label=label)
        return cls(session=ModuleSession.of(module, example_inputs), facts={}, label=label)


def resolve_task(name: str | None, facts: Mapping[str, str]) -> Task | None:
    """Named task (details from metadata), else the metadata's task, else None.

    Raises DataError for an unknown name, ModelError for detection by a model that does not describe it.
    """
    known = task_of(facts)
    if name is None or (known is not None and known.task == name):
        return known
    if name not in TASKS:
        raise DataError(f"unknown task {name!r}: {nearest(name, TASKS)}")
    return TASKS[name].undescribed()


def task_for(
    name: str | None, facts: Mapping[str, str], session: Session, dataset: Dataset, *, labelled: bool = True
) -> tuple[Task, str]:
    """Task by `resolve_task`, else by the first outputs and labels.

    By the labels if `labelled`.

    Then the second value is the sentence that tells the user so. Where the model does not name its classes, they are
    called as in the data. Raises what `resolve_task` raises, DataError for what the data are of no use for.
    """
    info, notice = resolve_task(name, facts), ""
    if info is None:
        with closing(cast(Any, iter(dataset))) as samples:
            outputs = tensors_of(session.run(next(samples).inputs))
            info = infer_task(dataset.label_kind if labelled else None, outputs)
        notice = (
            f"the model does not say what it is for; taken for {info.task}, by its data and outputs (--task says "
            "otherwise)"
        )
    require_image_labels(info, facts)
    if dataset.classes is None or dataset.label_kind is not info.label_kind:
        return info, notice
    if info.classes is None:
        return info.model_copy(update={"classes": dataset.classes}), notice
    if info.classes != dataset.classes and set(info.classes) == set(dataset.classes):
        place = next(
            i for i, pair in enumerate(zip(info.classes, dataset.classes, strict=False)) if len({*pair}) > 1
        )
        raise DataError(
            f"the data have the model's classes in another order: class {place} is {dataset.classes[place]!r} there "
            f"and {info.classes[place]!r} in the model; number them alike"
        )
    return info, notice
