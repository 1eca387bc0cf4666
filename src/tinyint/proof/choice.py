"""Choice of the fastest runtime for a model, of those that compute it right."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from tinyint.errors import DataError, ModelError, TargetError
from tinyint.graph.source import ModelSource, model_label
from tinyint.proof.bench import Clock, random_feeds
from tinyint.proof.likeness import saturating, unlike
from tinyint.runtimes import Feeds, Precision, Runtime, Session, TensorSpec
from tinyint.runtimes.apart import Apart, Failure
from tinyint.runtimes.outputs import tensors_of

__all__ = ["Choice", "Conditions", "choose"]

_SECONDS, _MOST_ROUNDS = 1.0, 200
_TRIAL_SECONDS = 60.0
_TIE = 1.05  # times of two runtimes that count as the same


class _UnmeasuredError(Exception):
    """Reason for which nothing can be timed."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Use of a model that a choice holds for.

    * `threads`, `precision`, `batch`: as of `Runtime.open`
    * `example`: inputs as they will come; random ones without it, of `batch_size` where the batch stays open, and with
      `shapes` for other open dimensions
    """

    threads: int | None = None
    precision: Precision | None = None
    batch: int | None = None
    example: Feeds | None = None
    batch_size: int = 1
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def open(self, runtime: Runtime, model: ModelSource) -> Session:
        """Raises what the runtime raises."""
        return runtime.open(model, threads=self.threads, precision=self.precision, batch=self.batch)

    def feeds(self, inputs: Sequence[TensorSpec]) -> Feeds:
        """Inputs to measure with.

        Raises _UnmeasuredError if there is no example, and none can be made up.
        """
        if self.example is not None:
            return self.example
        for spec in inputs:
            if spec.name not in self.shapes and None in spec.shape[1:]:
                raise _UnmeasuredError(f"input {spec.name!r} has open dimensions, {spec}; give an example")
        try:
            return random_feeds(inputs, batch_size=self.batch or self.batch_size, shapes=self.shapes)
        except DataError as error:
            raise _UnmeasuredError(f"{error}; give an example") from error


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Runtime for a model on this machine.

    * `milliseconds`: median time of a call, of each runtime that was timed
    * `excluded`: clause that says why, of each runtime that was not
    * `unmeasured`: reason for which none was timed although several could be
    * `cut_short`: whether a runtime had no more time, as on a busy machine
    * `remembered`: whether an earlier run has measured it
    """

    runtime: str
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    excluded: Mapping[str, str] = field(default_factory=dict)
    unmeasured: str | None = None
    cut_short: bool = False
    remembered: bool = False

    def __str__(self) -> str:
        others = [f"{ms:.3g} ms on {name}" for name, ms in self.milliseconds.items() if name != self.runtime]
        told = f"runs on {self.runtime}"
        if self.runtime in self.milliseconds:
            told += ": " + ", ".join([f"{self.milliseconds[self.runtime]:.3g} ms a call", *others])
        if self.unmeasured is not None:
            told += f", which was not chosen by its speed: {self.unmeasured}"
        return "; ".join([told, *self.excluded.values()])


def choose(
    model: ModelSource,
    runtimes: Sequence[Runtime],
    conditions: Conditions,
    *,
    preferred: str,
    clock: Clock = time.perf_counter,
) -> tuple[Choice, Session]:
    """Choice of one of `runtimes`, with its session.

    A runtime is out if it does not run the model, ends the process with it, or computes something else than the model
    says. The others are timed in turn, for a second or one call each. `preferred` wins unless another one is more than
    5 % faster. Raises ModelError where none is left, DataError for an example that does not fit.
    """
    trial = _Trial(model, conditions, {runtime.name: runtime for runtime in runtimes}, preferred)
    unmeasured = trial.run()
    sessions, excluded, cut_short = trial.sessions, trial.excluded, trial.cut_short
    if not sessions:
        raise ModelError(f"{model_label(model)}: no runtime opens it: {'; '.join(excluded.values())}")
    if unmeasured is not None or len(sessions) == 1:
        name = preferred if preferred in sessions else next(iter(sessions))
        choice = Choice(runtime=name, excluded=excluded, unmeasured=unmeasured, cut_short=cut_short)
        return choice, sessions[name]
    times = _race(sessions, trial.feeds, clock)
    best = min(times, key=lambda name: times[name])
    name = preferred if times.get(preferred, float("inf")) <= _TIE * times[best] else best
    return Choice(runtime=name, milliseconds=times, excluded=excluded, cut_short=cut_short), sessions[name]


@dataclass
class _Trial:
    """Sessions of the runtimes that are fit for the model, and what is against the others."""

    model: ModelSource
    conditions: Conditions
    runtimes: Mapping[str, Runtime]
    preferred: str
    sessions: dict[str, Session] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)
    feeds: Feeds = field(default_factory=dict)
    cut_short: bool = False

    def run(self) -> str | None:
        """Tries all runtimes; returns a reason for which they cannot be timed."""
        present = {name: r for name, r in self.runtimes.items() if r.available() is not None}
        self.excluded |= {name: str(r.absent()) for name, r in self.runtimes.items() if name not in present}
        # They start while the others load.
        risky = {name: Apart(name) for name, r in present.items() if not r.safe and len(present) > 1}
        try:
            for name in present:
                if name not in risky:
                    self._open(name)
            if self.sessions:
                self.feeds = self.conditions.feeds(next(iter(self.sessions.values())).inputs)
                for name, child in risky.items():
                    self._try_apart(name, child)
            for name in risky:
                if name not in self.excluded:
                    self._open(name)
        except _UnmeasuredError as unknown:
            self._open_unmeasured(present)
            return str(unknown)
        finally:
            for child in risky.values():
                child.leave()
        self._compare()
        return None

    def _open_unmeasured(self, present: Mapping[str, Runtime]) -> None:
        """Opens the preferred runtime, unless products saturate on it and not on others."""
        left = [name for name in present if name not in self.excluded]
        for name, reason in saturating(self.model, left).items():
            self._exclude(name, f"on {name}, {reason}")
        for name in sorted(left, key=lambda name: name != self.preferred):
            if name not in (*self.excluded, *self.sessions) and (name == self.preferred or not self.sessions):
                self._open(name)

    def _open(self, name: str) -> None:
        try:
            self.sessions[name] = self.conditions.open(self.runtimes[name], self.model)
        except (ModelError, TargetError) as error:
            self._refuse(name, error)

    def _refuse(self, name: str, error: Exception) -> None:
        self._exclude(name, str(error).removeprefix(f"{model_label(self.model)}: "))

    def _exclude(self, name: str, reason: str) -> None:
        self.sessions.pop(name, None)
        self.excluded[name] = reason

    def _try_apart(self, name: str, child: Apart) -> None:
        """Excludes a runtime that would take this process with it."""
        fresh = child.fresh
        found = child.run_all(self.model, self.conditions.threads, [self.feeds], _TRIAL_SECONDS)
        if (
            isinstance(found, Failure) and found.fatal and not fresh
        ):  # an earlier model may have damaged its memory
            found = child.run_all(self.model, self.conditions.threads, [self.feeds], _TRIAL_SECONDS)
        if isinstance(found, Failure) and found.fatal:
            self.cut_short |= found is Failure.STUCK
            self._exclude(name, f"{name} {found} with it")

    def _compare(self) -> None:
        """Excludes runtimes that fail on the feeds, or compute something else than the model says."""
        if len(self.sessions) < 2:
            return
        outputs = {}
        for name, session in list(self.sessions.items()):
            try:
                outputs[name] = tensors_of(session.run(self.feeds))
            except ModelError as error:
                self._refuse(name, error)
        for name, reason in saturating(self.model, list(outputs)).items():
            self._exclude(name, f"on {name}, {reason}")
            del outputs[name]
        for name, reason in unlike(self.model, self.feeds, outputs).items():
            self._exclude(name, f"{name} {reason}")


def _race(sessions: Mapping[str, Session], feeds: Feeds, clock: Clock) -> dict[str, float]:
    """Median milliseconds of a call; the order is turned each round."""
    times: dict[str, list[float]] = {name: [] for name in sessions}
    order, start = list(sessions), clock()
    while not times[order[0]] or (clock() - start < _SECONDS and len(times[order[0]]) < _MOST_ROUNDS):
        for name in order:
            before = clock()
            sessions[name].run(feeds)
            times[name].append(1e3 * (clock() - before))
        order.reverse()
    return {name: median(milliseconds) for name, milliseconds in times.items()}
