"""The verb `quantize_within`: the fastest int8 model that keeps within a budget of accuracy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tinyint.api.bench_of_trials import Bench
from tinyint.api.budget_work import Work
from tinyint.api.given_model import GivenModel, Model
from tinyint.api.quantize import Result
from tinyint.data import Data, Samples
from tinyint.errors import DataError
from tinyint.files import followed
from tinyint.proof import Report
from tinyint.quantization.recipe import Recipe
from tinyint.quantization.recipe_source import RecipeSource, resolve_recipe
from tinyint.report.words import counted
from tinyint.runtimes.run import Run
from tinyint.targets import get_target
from tinyint.tune.budget import Budget
from tinyint.tune.journal import Trial
from tinyint.tune.metric import Metric, SqnrMetric
from tinyint.tune.search import Outcome, Search

__all__ = ["Budget", "WithinBudget", "quantize_within"]


@dataclass(frozen=True, kw_only=True)
class WithinBudget:
    """Best int8 model of a search, and what the search did.

    * `met`: whether it is within the budget; `finished`: whether the search came to its end in its time
    * `reference`, `value`: the metric of the float model (infinite for sqnr) and of this one
    * `in_float`: units that were left in float; `trials`: models that were judged, those of an earlier run included
    """

    result: Result
    met: bool
    finished: bool
    metric: str
    reference: float
    value: float
    in_float: tuple[str, ...]
    trials: int

    @property
    def report(self) -> Report:
        return self.result.report


def quantize_within(
    model: Model,
    data: Data,
    *,
    output: str | Path,
    budget: Budget,
    recipe: RecipeSource = "default",
    target: str | None = None,
    run: Run | None = None,
) -> WithinBudget:
    """Quantizes as much of a model as the budget allows, and proves it.

    Units that err most for the milliseconds that they save stay in float, by rules that are put before those of the
    recipe. Each model is judged on the runtime, on samples after those that calibrate. The best one so far is always at
    `output`; `NAME.budget.json` beside it holds the trials, so that the same call goes on after a kill.

    Raises as `quantize`, and DataError for a metric that is not there, needs labels, or is NaN for the float model, for
    data without held-out samples, and for a time that is too short for one trial.
    """
    chosen, notices = _static(recipe)
    if run is not None and run.race is not None:
        raise DataError(
            "a budget decides by itself what stays in float, and so does a race: leave out --max-drop or --race"
        )
    work = Work(
        model=model,
        source=GivenModel.of(model),
        samples=Samples.of(data),
        place=followed(output),
        budget=budget,
        recipe=chosen,
        target=get_target(target),
        run=run or Run(),
        notices=notices,
    )
    work.require_places()
    try:
        return _searched(work)
    except KeyboardInterrupt as error:
        error.add_note(f"the best model so far is at {output}; the same command goes on from there")
        raise


def _static(recipe: RecipeSource) -> tuple[Recipe, list[str]]:
    chosen, notices = resolve_recipe(recipe)
    if chosen.method != "static":
        raise DataError(f"the method {chosen.method} has no budget: only static recipes have units to choose")
    if chosen.fold_preprocessing:
        raise DataError(
            "a budget does not go with fold_preprocessing yet: find the rules without it, and use the recipe that the "
            "model then carries with --fold-preprocessing"
        )
    return chosen, notices


def _searched(work: Work) -> WithinBudget:
    """float value → all in int8 → units by noise and cost → search → proof"""
    started = time.perf_counter()
    metric = work.metric()
    first = work.quantized(frozenset())
    journal = work.journal(metric, first.record)
    if not journal.trials or not work.place.exists():
        work.write(first)
    bench = Bench.of(work, metric, first, started)
    if not journal.candidates:
        journal.start(work.candidates(first))

    def judge(names: frozenset[str]) -> Outcome | None:
        value = journal.value(names)
        if value is None:
            if bench.out_of_time():
                return None
            value = bench.judged(names)
            journal.add(Trial(in_float=names, value=value))
        work.run.progress("search", len(journal.trials), None)
        return Outcome(value=value, shortfall=work.budget.shortfall(metric, bench.reference, value))

    def better(names: frozenset[str], _: Outcome) -> None:
        if (made := bench.made.get(names)) is not None:  # of an earlier run, the best is there
            work.write(made)

    search = Search(candidates=journal.candidates, judge=judge, better=better)
    finished = search.run()
    if search.best is None:
        raise DataError(bench.too_short())
    names, outcome = search.best
    found = WithinBudget(
        result=work.quantized(names, prove=True),
        met=outcome.met,
        finished=finished,
        metric=metric.name,
        reference=bench.reference,
        value=outcome.value,
        in_float=tuple(c.name for c in journal.candidates if c.name in names),
        trials=len(journal.trials),
    )
    notes = [
        *findings(found, work.budget, metric, bench.count, len(journal.candidates)),
        *bench.notes,
        *work.notices,
    ]
    return replace(found, result=work.noted(found.result, notes))


def findings(found: WithinBudget, budget: Budget, metric: Metric, samples: int, units: int) -> Iterator[str]:
    """Findings of the search, as notes for the report."""
    if isinstance(metric, SqnrMetric):
        kept = f"{metric.name} {found.value:.2f} dB, of at least {budget.max_drop:g} dB"
    else:
        drop = found.reference - found.value
        kept = (
            f"{metric.name} {found.value:.2f} beside {found.reference:.2f} of the float model: a drop of {drop:.2f} of "
            f"at most {budget.max_drop:g}{metric.unit}"
        )
    yield (
        f"budget {'met' if found.met else 'not met'}: {kept}, on {counted(samples, 'held-out sample')}; "
        f"{len(found.in_float)} of {counted(units, 'unit')} left in float, in {counted(found.trials, 'trial')}"
    )
    if not found.finished:
        yield "the time for the search was over before its end: the same command goes on, and may find a faster model"
