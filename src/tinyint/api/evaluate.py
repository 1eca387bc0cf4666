"""The verbs `evaluate` and `compare`: a model on data, and beside float."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tinyint.api.given_model import GivenModel, Model
from tinyint.api.side_by_side import SideBySide
from tinyint.api.subject import Subject, task_for
from tinyint.data import Data, Samples, input_specs
from tinyint.diagnosis.compare import Comparison
from tinyint.diagnosis.compare import compare as compare_tensors
from tinyint.metadata import FOLDED
from tinyint.runtimes.run import Run
from tinyint.tasks import Task, postprocessing_of, require_labels
from tinyint.tasks.paired import differences
from tinyint.tasks.score import Evaluation, score
from tinyint.tasks.scoring.scorer import Scorer

__all__ = ["compare", "evaluate"]

_COMPARED = 16  # samples


def evaluate(
    model: Model,
    data: Data,
    *,
    task: str | None = None,
    against: Model | None = None,
    runtime: str | None = None,
    run: Run | None = None,
    example_inputs: Any = None,
) -> Evaluation:
    """Evaluates a model, float or int8, at its task on labelled data.

    The same code for every form and runtime.

    An `nn.Module` runs in torch, unless a runtime is named. `task` is classification, detection or segmentation; what
    the model's metadata say, if not given, and else what data and outputs look like, with a notice. With `against`,
    the other model runs on the same samples, and each difference is told from chance. `Samples(data, skip=n)` leaves
    out the first n, such as those that were calibrated on.

    Raises ModelError, DataError (a sample without a label, a label that is no class) and DependencyError.
    """
    run, wanted = run or Run(), Samples.of(data)
    run.require_only("evaluate", "threads", "batch_size")
    subjects = [Subject.of(model, runtime, run.threads, example_inputs)]
    if against is not None:
        subjects.append(Subject.of(against, runtime, run.threads, example_inputs))
    both = SideBySide.of(subjects)
    session = both.subjects[0].session
    dataset = wanted.open(session.inputs, both.facts)
    info, notice = task_for(task, both.facts, session, dataset)
    require_labels(dataset.label_kind, info, wanted.name)
    models = [
        (info.decided(subject.session, postprocessing_of(subject.facts), threads=run.threads), info.scorer())
        for subject in both.subjects
    ]
    total = dataset.len_hint
    count = score(
        models, dataset, run.batch_size, progress=lambda done: run.progress("evaluate", done, total)
    )
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


def compare(float_model: Model, int8_model: Model, data: Data, *, run: Run | None = None) -> Comparison:
    """Compares every quantized tensor with the float model's, worst first.

    On the first 16 samples, unless they have a limit. Each tensor has its likely cause. Raises ModelError if the two
    models do not belong together, DataError.
    """
    run = run or Run()
    run.require_only("compare", "threads")
    reference, quantized = GivenModel.of(float_model), GivenModel.of(int8_model)
    facts = {**reference.model.metadata_props, **quantized.model.metadata_props}
    fed = quantized if FOLDED in facts else reference  # on pixels, the two are compared on these
    dataset = Samples.of(data).open(input_specs(fed.model), facts, default=_COMPARED)
    found = compare_tensors(reference.model, quantized.model, dataset, threads=run.threads)
    return replace(found, notices=dataset.notices)
