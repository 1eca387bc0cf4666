"""The verb `benchmark`: speed of several models, and over data also their accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyint.api.given_model import Model
from tinyint.api.opening import (
    AUTO,
    chosen_session,
    clearly,
    existing,
    runtime_for,
    saturation_notice,
    threads_notice,
)
from tinyint.api.side_by_side import SideBySide
from tinyint.api.subject import Subject, task_for
from tinyint.data import Data, Dataset, Samples
from tinyint.data.images import ImageSource
from tinyint.data.open import CheckedDataset
from tinyint.errors import ModelError
from tinyint.graph.source import ModelSource, metadata, model_label
from tinyint.proof.bench import Entry, TimedSession, random_feeds, timing
from tinyint.proof.bench import benchmark as run_in_turn
from tinyint.proof.choice import Conditions
from tinyint.proof.tester import Candidate, Measurement, Performance, run_over
from tinyint.runtimes import Runtime, get_runtime
from tinyint.runtimes.base import Feeds, LayerTime
from tinyint.runtimes.host import host
from tinyint.runtimes.run import Run
from tinyint.tasks import Task, postprocessing_of, require_labels

__all__ = ["benchmark"]

_CALLS, _PROFILED = 100, 20


def benchmark(
    models: Sequence[Model],
    data: Data | None = None,
    *,
    runtimes: Sequence[str] = (),
    task: str | None = None,
    measure: Measurement | None = None,
    run: Run | None = None,
) -> list[Performance]:
    """Latency of each model on each runtime, in turn in this process.

    Its own runtime, if none is named; under "auto" the fastest one, as of `open`.

    They are fed random values, or the samples of `data`, and then judged as well if `measure` says so: by the metrics
    of `task`, or of the task that `evaluate` would take. `run.threads` are all cores by default; `run.notice` is told
    what the user should know about the data. Raises ModelError, DataError and DependencyError.
    """
    run, measure = run or Run(), measure or Measurement()
    run.require_only("benchmark", "threads", "batch_size")
    measure.require_fit(data=data is not None)
    if not models:
        raise ModelError("there is no model to measure")
    sources = [existing(model) for model in models]
    with clearly(*sources):
        entries = [
            Entry(
                model=source,
                runtime=_fastest(source, measure, run)
                if name == AUTO
                else _installed(runtime_for(source, name)),
                precision=measure.precision,
                label=str(model) if isinstance(model, str | Path) else None,
            )
            for model, source in zip(models, sources, strict=True)
            for name in (runtimes or (None,))
        ]
        bench = _Bench(entries, task, measure, run)
        found = bench.at_random() if data is None else bench.over(Samples.of(data))
    for entry in entries:
        for told in (
            threads_notice(entry.runtime, run.threads),
            saturation_notice(entry.model, entry.runtime.name, entry.name),
        ):
            if told is not None:
                run.notice(told)
    return found


def _fastest(source: ModelSource, measure: Measurement, run: Run) -> Runtime:
    conditions = Conditions(
        threads=run.threads or host().cores,
        precision=measure.precision,
        batch_size=run.batch_size,
        shapes=measure.shapes,
    )
    _, choice, told = chosen_session(source, conditions)
    run.notice(told or f"{model_label(source)} {choice}")
    return get_runtime(choice.runtime)


@dataclass(frozen=True)
class _Bench:
    entries: Sequence[Entry]
    task: str | None
    measure: Measurement
    run: Run

    @property
    def threads(self) -> int:
        return self.run.threads or host().cores

    def at_random(self) -> list[Performance]:
        measure, batch_size = self.measure, self.run.batch_size
        timings = run_in_turn(
            self.entries,
            threads=self.threads,
            batch_size=batch_size,
            warmup=measure.warmup,
            iterations=measure.iterations or _CALLS,
            shapes=measure.shapes,
        )
        layers: list[tuple[LayerTime, ...] | None] = [None] * len(timings)
        if measure.profile:
            for i, entry in enumerate(self.entries):
                inputs = entry.open(self.threads).inputs
                feeds = random_feeds(inputs, batch_size=batch_size, shapes=measure.shapes)
                layers[i] = self._layers(entry, feeds)
        return [Performance(**vars(each), layers=own) for each, own in zip(timings, layers, strict=True)]

    def over(self, samples: Samples) -> list[Performance]:
        together = SideBySide.of([self._subject(entry) for entry in self.entries])
        sessions = [TimedSession(subject.session) for subject in together.subjects]
        facts = together.facts
        dataset = samples.open(sessions[0].inputs, facts)
        info = self._task(samples, dataset, facts, sessions[0]) if self.measure.accuracy else None
        models = [self._candidate(*pair, info) for pair in zip(self.entries, sessions, strict=True)]
        total = dataset.len_hint
        count, feeds = run_over(
            models,
            dataset,
            batch_size=self.run.batch_size,
            warmup=self.measure.warmup,
            calls=self.measure.iterations or None,
            progress=lambda done: self.run.progress("bench", done, total),
        )
        for notice in (
            *together.notices,
            *dataset.notices,
            *_notices(dataset, sessions, self.run, self.measure),
        ):
            self.run.notice(notice)
        given = [subject.feeds(feeds) for subject in together.subjects]
        each = zip(self.entries, models, given, strict=True)
        return [self._performance(entry, model, info, count, own) for entry, model, own in each]

    def _subject(self, entry: Entry) -> Subject:
        return Subject(session=entry.open(self.threads), facts=metadata(entry.model), label=entry.name)

    def _task(self, samples: Samples, dataset: Dataset, facts: dict[str, str], session: TimedSession) -> Task:
        info, notice = task_for(self.task, facts, session, dataset)
        require_labels(dataset.label_kind, info, samples.name)
        if notice:
            self.run.notice(notice)
        return info

    def _candidate(self, entry: Entry, session: TimedSession, info: Task | None) -> Candidate:
        if info is None:
            return Candidate(session=session)
        present = postprocessing_of(metadata(entry.model))
        decided = info.decided(session, present, threads=self.threads)
        return Candidate(session=session, decided=decided, scorer=info.scorer())

    def _performance(
        self, entry: Entry, model: Candidate, info: Task | None, count: int, feeds: Feeds
    ) -> Performance:
        return Performance(
            **vars(timing(entry, model.session, self.threads)),
            task=None if info is None else info.task,
            samples=count,
            metrics=None if model.scorer is None else model.scorer.metrics(),
            layers=self._layers(entry, feeds) if self.measure.profile else None,
        )

    def _layers(self, entry: Entry, feeds: Feeds) -> tuple[LayerTime, ...]:
        layers = entry.runtime.profile(
            entry.model, feeds, calls=_PROFILED, threads=self.threads, precision=entry.precision
        )
        return tuple(layers)


def _notices(dataset: Dataset, sessions: Sequence[TimedSession], run: Run, measure: Measurement) -> list[str]:
    told = []
    if isinstance(dataset, CheckedDataset) and isinstance(dataset.source, ImageSource):
        told.append(
            "images are decoded while the models run, which takes time from them: a file of `tinyint preprocess` is "
            "only read"
        )
    most, calls = max(sessions[0].images), len(sessions[0].images)
    if most < run.batch_size:
        told.append(
            f"batches of {run.batch_size} were asked for; by the model or the data, they are of {most}"
        )
    if calls < (measure.iterations or 0):
        told.append(f"{measure.iterations} iterations were asked for; the data are enough for {calls}")
    return told


def _installed(runtime: Runtime) -> Runtime:
    if runtime.available() is None:
        raise runtime.absent()
    return runtime
