"""Judgement of models on held-out samples, within the time of a budget."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from tinyint.api.budget_work import Work
from tinyint.api.proving import ProofData
from tinyint.api.quantize import Result
from tinyint.errors import DataError, ModelError
from tinyint.graph.passes.exact_products import exact_products
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.runtimes import Session, get_runtime
from tinyint.tune.metric import Metric

__all__ = ["Bench"]


@dataclass(kw_only=True)
class Bench:
    """Samples that calibration has not seen, and the float model's value on them.

    * `made`: the last model that was judged
    * `longest`: seconds of the longest trial
    """

    work: Work
    metric: Metric
    samples: ProofData
    started: float
    reference: float = math.inf
    count: int = 0
    longest: float = 0.0
    made: dict[frozenset[str], Result] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, work: Work, metric: Metric, first: Result, started: float) -> Bench:
        """Bench that has made a `first` model, all in int8.

        Raises DataError without held-out samples, for NaN, and for a time that is too short for one trial.
        """
        samples = _held_out(work, first.record)
        bench = cls(work=work, metric=metric, samples=samples, started=started, made={frozenset(): first})
        before = time.perf_counter()
        bench.reference = metric.value(work.reference, work.present, bench.samples)
        bench.longest = time.perf_counter() - before
        bench.count = sum(1 for _ in bench.samples)
        if math.isnan(bench.reference):
            raise DataError(
                f"metric {metric.name} of the float model is NaN on {bench.count} held-out samples, so that no "
                f"drop can be told; the model with all in int8 is at {work.place}, not judged"
            )
        if bench.out_of_time():
            raise DataError(bench.too_short())
        if work.runtime is None:
            bench.notes.append(
                f"{work.target.name} does not run here: models were judged by the simulation, op by op, and what float "
                "costs was taken from the multiply-adds"
            )
        return bench

    def out_of_time(self) -> bool:
        """Whether one more trial, as long as the longest, takes too long."""
        limit = self.work.budget.seconds
        return limit is not None and time.perf_counter() - self.started + self.longest > limit

    def too_short(self) -> str:
        used = time.perf_counter() - self.started
        return (
            f"a time of {self.work.budget.seconds:g} s is too short for one trial: {used:.1f} s are used, and a model "
            f"takes about {self.longest:.1f} s to judge on {self.count} samples; give more time. The model "
            f"with all in int8 is at {self.work.place}, not judged"
        )

    def judged(self, in_float: frozenset[str]) -> float:
        """Metric of the model with these units in float.

        NaN where nothing is left in int8.
        """
        before = time.perf_counter()
        try:
            result = self.made.get(in_float) or self.work.quantized(in_float)
        except ModelError:
            return math.nan
        value = self.metric.value(self._session(result.model), self.work.present, self.samples)
        self.made = {in_float: result}
        self.longest = max(self.longest, time.perf_counter() - before)
        return value

    def _session(self, model: ir.Model) -> Session:
        if self.work.runtime is None:
            simulation = exact_products(model)
            return get_runtime("onnxruntime").open(simulation, threads=self.work.run.threads, optimize=False)
        return self.work.runtime.open(model, threads=self.work.run.threads)


def _held_out(work: Work, record: CalibrationRecord | None) -> ProofData:
    used = 0 if record is None else record.samples
    rest = replace(work.samples, limit="all", skip=work.samples.skip + used)
    known = work.opened(replace(work.samples, limit="all")).len_hint
    if known is None or known > used:
        found = ProofData(dataset=work.opened(rest), record=record, most=work.budget.samples)
        try:
            if next(iter(found), None) is not None:
                return found
        except DataError:
            if known is not None:
                raise
    raise DataError(
        f"no samples are left to judge models on: calibration has used {used}; give more data, or calibrate on fewer "
        f"(--samples). The model with all in int8 is at {work.place}, not judged"
    )
