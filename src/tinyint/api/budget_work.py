"""Models of a search, with units in float; the best so far on disk."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import tinyint
from tinyint.api.beside import Beside
from tinyint.api.given_model import GivenModel, Model
from tinyint.api.quantize import Result, quantize
from tinyint.api.subject import task_for
from tinyint.data import Dataset, Samples, input_specs
from tinyint.diagnosis.matched import Matched
from tinyint.diagnosis.sensitivity import errors_alone
from tinyint.diagnosis.unit_costs import unit_costs
from tinyint.diagnosis.units import Unit, units_of
from tinyint.errors import DataError
from tinyint.files import require_writable
from tinyint.graph.io import save_model
from tinyint.graph.walk import macs
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.recipe import Recipe, Rule
from tinyint.runtimes import Runtime, Session, get_runtime
from tinyint.runtimes.host import host
from tinyint.runtimes.run import Run
from tinyint.targets import Target
from tinyint.tasks import Task, postprocessing_of, require_labels
from tinyint.tune.budget import Budget
from tinyint.tune.journal import Journal
from tinyint.tune.metric import Metric, needs_task, resolve_metric
from tinyint.tune.search import Candidate

__all__ = ["Work"]


@dataclass(kw_only=True)
class Work:
    """A float model with its samples, and what to make of it.

    * `record`: of the first quantization, which the others take their ranges from
    * `notices`: what the user should know
    """

    model: Model
    source: GivenModel
    samples: Samples
    place: Path
    budget: Budget
    recipe: Recipe
    target: Target
    run: Run
    record: CalibrationRecord | None = None
    notices: list[str] = field(default_factory=list)

    @property
    def runtime(self) -> Runtime | None:
        """Runtime of the target; None where it does not run."""
        runtime = get_runtime(self.target.runtime)
        return runtime if runtime.available() is not None and self.target.cpu.runs_on(host()) else None

    @cached_property
    def reference(self) -> Session:
        """The float model on the target's runtime, or else on ONNX Runtime."""
        runtime = self.runtime or get_runtime("onnxruntime")
        return runtime.open(self.source.runnable, threads=self.run.threads)

    def opened(self, samples: Samples) -> Dataset:
        return samples.open(
            input_specs(self.source.model), self.source.model.metadata_props, default=self.recipe.samples
        )

    def metric(self) -> Metric:
        """The budget's metric, tried on the first sample. Raises DataError."""
        dataset = self.opened(self.samples)
        first = next(iter(dataset), None)
        if first is None:
            raise DataError("there are no samples to judge models on; give --data")
        task: Task | None = None
        if first.label is not None and needs_task(self.budget.metric):
            facts = self.source.model.metadata_props
            task, notice = task_for(self.budget.task, facts, self.reference, dataset)
            require_labels(dataset.label_kind, task, self.samples.name)
            self.notices += [notice] if notice else []
        metric = resolve_metric(self.budget.metric, task, self.reference)
        metric.value(self.reference, self.present, [first])
        return metric

    def require_places(self) -> None:
        """Raises OutputError where the model or its journal cannot be written, before the work."""
        for place in (self.place, self._journal):
            require_writable(place, keep=self._read)

    @property
    def _journal(self) -> Path:
        return self.place.with_name(f"{self.place.name.removesuffix('.onnx')}.budget.json")

    @property
    def present(self) -> str | None:
        return postprocessing_of(self.source.model.metadata_props)

    def quantized(self, in_float: frozenset[str], *, prove: bool = False) -> Result:
        """Int8 model with these units in float.

        With `prove`, it is proved, and written to its place.
        """
        known = self.record is not None
        run = replace(self.run, batch_size=1, provider="cpu") if known else self.run
        result = quantize(
            self.model,
            self.samples,
            output=self.place if prove else None,
            recipe=self.with_rules(in_float),
            target=self.target.name,
            calibration=self.budget.calibration or self.record,
            run=replace(run, verify=self.run.verify and prove),
        )
        self.record = result.record
        return result

    def with_rules(self, in_float: Iterable[str]) -> Recipe:
        """The recipe with a rule for each unit in float before its own."""
        rules = [Rule(name=_exactly(name), float=True) for name in sorted(in_float)]
        return self.recipe.with_rules(rules)

    def journal(self, metric: Metric, record: CalibrationRecord | None) -> Journal:
        key = {
            "model": "" if record is None else record.model_fingerprint,
            "record": "" if record is None else record.identity,
            "recipe": self.recipe.dump(),
            "target": self.target.name,
            "metric": metric.name,
            "data": self.opened(self.samples).fingerprint or self.samples.name,
            "samples": str(self.budget.samples),
            "tinyint": tinyint.__version__,
        }
        return Journal.open(self._journal, key)

    def write(self, made: Result) -> None:
        """Writes a model that is not proved, with its record and report."""
        report = replace(made.report, output=str(self.place))
        with self._beside.staged(self._read, with_record=True) as scratch:
            save_model(made.model, scratch / self._beside.model.name)
            self._beside.write(scratch, made.record, report)

    def noted(self, made: Result, notes: Iterable[str]) -> Result:
        """Writes the report anew, with notes."""
        report = replace(made.report, notes=(*notes, *made.report.notes))
        with self._beside.staged(self._read, with_record=False) as scratch:
            self._beside.write(scratch, None, report)
        return replace(made, report=report)

    @property
    def _beside(self) -> Beside:
        return Beside.of(self.place, self.budget.calibration)

    @property
    def _read(self) -> tuple[object, ...]:
        return (self.model, self.budget.calibration, *self.source.files, *self.samples.paths)

    def candidates(self, made: Result) -> list[Candidate]:
        """Units with their noise, and their cost on the runtime.

        Where that does not run here, by multiply-adds.
        """
        matched = Matched.of(self.source.model, made.model)
        units = units_of(matched)
        data = self.opened(self.samples)
        errors = errors_alone(matched, units, data, threads=self.run.threads, progress=self.run.progress)
        costs = self._costs(matched, units, data, errors.sizes)
        return [Candidate(name=u.name, noise=errors.ratio(u), cost=costs[u]) for u in units]

    def _costs(
        self, matched: Matched, units: tuple[Unit, ...], data: Dataset, sizes: dict[str, int]
    ) -> dict[Unit, float]:
        if self.runtime is None:
            cost = macs(matched.prepared)
            return {unit: 1e-9 * (1 + sum(cost.get(node, 0) for node in unit.nodes)) for unit in units}
        feeds = next(islice(iter(data), 1)).inputs
        found = unit_costs(matched, units, self.runtime, feeds, sizes, threads=self.run.threads)
        return {unit: cost.in_float_ms for unit, cost in found.items()}


def _exactly(name: str) -> str:
    """Pattern that matches this name alone."""
    escaped = glob.escape(name)
    return f"[/]{escaped[1:]}" if escaped[0] == escaped[-1] == "/" else escaped
