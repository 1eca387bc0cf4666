"""The verb `sensitivity`: cost of each unit, in accuracy and in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from tinyint.api.given_model import GivenModel, Model
from tinyint.api.opening import runtime_for
from tinyint.api.subject import task_for
from tinyint.data import Data, Dataset, Sample, Samples, input_specs
from tinyint.diagnosis.compare import compare_matched
from tinyint.diagnosis.judge import Judge
from tinyint.diagnosis.matched import Matched
from tinyint.diagnosis.sensitivity import Sensitivity, errors_alone, rows_of
from tinyint.diagnosis.unit_costs import UnitCost, unit_costs
from tinyint.diagnosis.units import Unit, units_of
from tinyint.errors import TinyintError
from tinyint.metadata import FOLDED, TARGET
from tinyint.report.words import counted
from tinyint.runtimes import Runtime, get_runtime
from tinyint.runtimes.base import Feeds
from tinyint.runtimes.host import host
from tinyint.runtimes.run import Run
from tinyint.targets import TARGETS
from tinyint.tasks import postprocessing_of, require_labels

__all__ = ["sensitivity"]

_MOST, _FAR_DB = 64, 10.0


def sensitivity(
    float_model: Model, int8_model: Model, data: Data, *, task: str | None = None, run: Run | None = None
) -> Sensitivity:
    """Measures each unit of a Q/DQ model alone: error, cost in float, cause.

    A unit is an operator with the clamps and biases that its kernel takes in. With labels, the metrics of `task`, or of
    the one that `evaluate` would take, are measured too. On as many samples as take about the time of 640 float passes,
    unless they have a limit. Raises ModelError if the two models do not belong together, or the ranges are found at run
    time, and DataError.
    """
    run = run or Run()
    run.require_only("sensitivity", "threads")
    reference, quantized = GivenModel.of(float_model), GivenModel.of(int8_model)
    matched = Matched.of(reference.model, quantized.model)
    units = units_of(matched)
    facts = {**reference.model.metadata_props, **quantized.model.metadata_props}
    fed = quantized if FOLDED in facts else reference
    wanted = Samples.of(data)
    dataset = wanted.open(input_specs(fed.model), facts, default=_MOST)
    notices: list[str] = []
    judge = _judge(matched, dataset, wanted, task, facts, notices)
    errors = errors_alone(
        matched,
        units,
        dataset,
        judge=judge,
        samples=wanted.limit if isinstance(wanted.limit, int) else None,
        threads=run.threads,
        progress=run.progress,
    )
    used = _First(dataset, errors.samples)
    runtime = runtime_for(quantized.model)
    run.progress("profile", 0, None)
    costs = _costs(matched, units, runtime, next(iter(used)).inputs, errors.sizes, run.threads, notices)
    compared = compare_matched(matched, used, threads=run.threads)
    found = rows_of(errors, units, matched, compared, costs)
    notices += _doubts(found)
    return replace(found, runtime=runtime.name if costs else "", notices=(*notices, *dataset.notices))


def _doubts(found: Sensitivity) -> list[str]:
    """Notice of units that alone err far more than all together, which rounding does not explain."""
    doubtful = [row.name for row in found.rows if row.output_db < found.total_db - _FAR_DB]
    if not doubtful:
        return []
    return [
        f"{counted(len(doubtful), 'unit')} ({doubtful[0]!r} the first) err far more alone than all units together: the "
        "weights in the int8 model are not those of the float graph, as where another tool has left batch norms apart; "
        "fold these before, and quantize again"
    ]


class _First:
    """The first samples of a dataset, on each pass."""

    def __init__(self, dataset: Dataset, count: int) -> None:
        self._dataset, self._count = dataset, count

    def __iter__(self) -> Iterator[Sample]:
        return islice(iter(self._dataset), self._count)


def _judge(
    matched: Matched,
    dataset: Dataset,
    wanted: Samples,
    task: str | None,
    facts: dict[str, str],
    notices: list[str],
) -> Judge | None:
    """Judge by the labels; None without, or where they are not for this model and no task is asked for."""
    first = next(iter(dataset), None)
    if task is None and (first is None or first.label is None):
        return None
    session = get_runtime("onnxruntime").open(matched.prepared)
    try:
        info, notice = task_for(task, facts, session, dataset)
        require_labels(dataset.label_kind, info, wanted.name)
        judge = Judge(info, postprocessing_of(facts), session.outputs)
        if first is not None:
            Judge(info, postprocessing_of(facts), session.outputs).add(
                "first", first, session.run(first.inputs)
            )
    except TinyintError as error:
        if task is not None:
            raise
        notices.append(f"the task's metrics are left out: {error}")
        return None
    if notice:
        notices.append(notice)
    return judge


def _costs(
    matched: Matched,
    units: tuple[Unit, ...],
    runtime: Runtime,
    feeds: Feeds,
    sizes: dict[str, int],
    threads: int | None,
    notices: list[str],
) -> dict[Unit, UnitCost]:
    target = TARGETS.get(matched.int8.metadata_props.get(TARGET, ""))
    if runtime.available() is None or (target is not None and not target.cpu.runs_on(host())):
        where = runtime.name if target is None else target.name
        notices.append(f"what float costs is not measured: {where} does not run here")
        return {}
    return unit_costs(matched, units, runtime, feeds, sizes, threads=threads)
