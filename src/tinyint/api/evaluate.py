"""The verbs `evaluate` and `compare`: a model on data, and beside float."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinyint.api.progress import Progress, silent
from tinyint.api.source import Model, Source, input_specs, resolve_preprocessing
from tinyint.api.subject import Subject, task_for
from tinyint.data import Declaration, open_data
from tinyint.data.open import OnError
from tinyint.diagnosis.compare import Comparison
from tinyint.diagnosis.compare import compare as compare_tensors
from tinyint.errors import ModelError
from tinyint.tasks import Task, postprocessing_of, require_labels
from tinyint.tasks.paired import differences
from tinyint.tasks.score import Evaluation, score
from tinyint.tasks.scoring.scorer import Scorer

__all__ = ["compare", "evaluate"]


def evaluate(
    model: Model,
    data: str | Path | Iterable[Any],
    *,
    task: str | None = None,
    against: Model | None = None,
    runtime: str | None = None,
    threads: int | None = None,
    batch_size: int = 1,
    samples: int | None = None,
    skip: int = 0,
    preprocessing: Declaration | str | Path | None = None,
    on_error: OnError = "stop",
    progress: Progress = silent,
    example_inputs: Any = None,
) -> Evaluation:
    """Evaluates a model, float or int8, at its task on labelled data.

    The same code for every form and runtime.

    An `nn.Module` runs in torch, unless a runtime is named. `task` is classification, detection or segmentation; what
    the model's metadata say, if not given, and else what data and outputs look like, with a notice. With `against`,
    the other model runs on the same samples, and each difference is told from chance. The first `skip` samples, such as
    those that were calibrated on, are left out.

    Raises ModelError, DataError (a sample without a label, a label that is no class) and DependencyError.
    """
    subjects = [Subject.of(model, runtime, threads, example_inputs)]
    if against is not None:
        subjects.append(Subject.of(against, runtime, threads, example_inputs))
        _check_same_inputs(*subjects)
    facts = {**subjects[-1].facts, **subjects[0].facts}
    dataset = open_data(
        data,
        subjects[0].session.inputs,
        resolve_preprocessing(preprocessing, facts),
        limit=samples,
        skip=skip,
        on_error=on_error,
    )
    info, notice = task_for(task, facts, subjects[0].session, dataset)
    require_labels(dataset.label_kind, info, str(data) if isinstance(data, str | Path) else "the data")
    models = [
        (info.decided(subject.session, postprocessing_of(subject.facts), threads=threads), info.scorer())
        for subject in subjects
    ]
    total = dataset.len_hint
    count = score(models, dataset, batch_size, progress=lambda done: progress("evaluate", done, total))
    notices = tuple(filter(None, (notice, *dataset.notices)))
    return _evaluation(info, [scorer for _, scorer in models], count, notices)


def _evaluation(info: Task, scorers: list[Scorer], samples: int, notices: tuple[str, ...]) -> Evaluation:
    ours, *others = scorers
    return Evaluation(
        task=info.task,
        metrics=ours.metrics(),
        per_class={info.name_of(number): value for number, value in enumerate(ours.per_class())},
        samples=samples,
        classes=ours.classes,
        against=others[0].metrics() if others else None,
        differences=differences(ours, others[0]) if others else {},
        notices=notices,
    )


def _check_same_inputs(ours: Subject, theirs: Subject) -> None:
    a, b = ({spec.name: str(spec) for spec in subject.session.inputs} for subject in (ours, theirs))
    if a.keys() != b.keys():
        raise ModelError(
            f"{ours.label} has the inputs {', '.join(sorted(a))}, {theirs.label} has {', '.join(sorted(b))}; both must "
            "take the same samples"
        )


def compare(
    float_model: Model,
    int8_model: Model,
    data: str | Path | Iterable[Any],
    *,
    samples: int = 16,
    threads: int | None = None,
    preprocessing: Declaration | str | Path | None = None,
    on_error: OnError = "stop",
    example_inputs: Any = None,
) -> Comparison:
    """Compares every quantized tensor with the float model's, worst first.

    Each tensor has its likely cause. Raises ModelError if the two models do not belong together, DataError.
    """
    reference, quantized = Source.of(float_model, example_inputs), Source.of(int8_model)
    declared = resolve_preprocessing(preprocessing, quantized.model.metadata_props)
    declared = declared or resolve_preprocessing(None, reference.model.metadata_props)
    dataset = open_data(data, input_specs(reference.model), declared, limit=samples, on_error=on_error)
    found = compare_tensors(reference.model, quantized.model, dataset, samples, threads=threads)
    return replace(found, notices=dataset.notices)
