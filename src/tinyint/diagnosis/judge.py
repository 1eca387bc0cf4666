"""Metrics of a task from outputs that are there already, by any key."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from threading import Lock

from tinyint.data import Sample
from tinyint.numbers.numerics import Array
from tinyint.runtimes.base import Feeds, Precision, TensorSpec
from tinyint.tasks import Task
from tinyint.tasks.scoring.scorer import Scorer

__all__ = ["Judge"]


class _Replay:
    """Session that gives the outputs that it holds."""

    inputs: tuple[TensorSpec, ...] = ()
    precision: Precision = "float32"

    def __init__(self, outputs: tuple[str, ...]) -> None:
        self.outputs = outputs
        self.held: dict[str, Array] = {}

    def run(self, feeds: Feeds) -> dict[str, Array]:
        del feeds
        return dict(self.held)

    run_transient = run


class Judge:
    """Scorer of a task for each key; several threads may add samples.

    `present`: kind of the postprocessing that the model does itself.
    """

    def __init__(self, task: Task, present: str | None, outputs: tuple[str, ...]) -> None:
        self._task = task
        self._replay = _Replay(outputs)
        self._decided = task.decided(self._replay, present, threads=1)
        self._scorers: dict[Hashable, Scorer] = {}
        self._lock = Lock()

    def add(self, key: Hashable, sample: Sample, outputs: Mapping[str, Array]) -> None:
        """Judges the outputs of one sample.

        Raises DataError for an unsuitable label, ModelError for unsuitable outputs.
        """
        with self._lock:
            self._replay.held = dict(outputs)
            decided = self._decided.run_transient(sample.inputs)
            self._scorers.setdefault(key, self._task.scorer()).add(sample, decided)

    def metrics(self, key: Hashable) -> dict[str, float]:
        """Metrics that are defined, 0 to 1."""
        scorer = self._scorers.get(key)
        found = {} if scorer is None else scorer.metrics()
        return {name: value for name, value in found.items() if value is not None}
