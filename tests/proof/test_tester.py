"""One pass over data: every model on every batch, timed, and judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest

from tests.fake_runtime import FakeRuntime
from tinyint.data import Sample
from tinyint.errors import DataError
from tinyint.numbers.numerics import Array
from tinyint.proof.bench import Entry, TimedSession
from tinyint.proof.tester import Candidate, Measurement, run_over
from tinyint.tasks.scoring.classification import ClassificationScorer


class Data:
    """Samples 0, 1, 2, … of three values; the highest is at `number % 3`, which is the label of all but number 4."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.read = 0

    def __iter__(self) -> Iterator[Sample]:
        for i in range(self.count):
            self.read += 1
            row = np.eye(3, dtype=np.float32)[[i % 3]]
            yield Sample({"x": row}, 0 if i == 4 else i % 3, str(i))


def models(runtime: FakeRuntime, *names: str, judged: bool = False) -> list[Candidate]:
    sessions = [TimedSession(Entry(model=name, runtime=runtime).open(1)) for name in names]
    if not judged:
        return [Candidate(session=session) for session in sessions]
    return [Candidate(session=s, decided=s, scorer=ClassificationScorer()) for s in sessions]


def rows(feeds: Sequence[tuple[str, Mapping[str, Array]]]) -> list[tuple[str, int]]:
    return [(name, len(values["x"])) for name, values in feeds]


@pytest.mark.parametrize("judged", [False, True])
def test_models_take_turns_over_all_batches(judged: bool) -> None:
    runtime = FakeRuntime()
    tested = models(runtime, "a", "b", judged=judged)
    told: list[int] = []
    count, first = run_over(tested, Data(7), batch_size=3, warmup=2, calls=None, progress=told.append)
    assert count == 7
    assert first["x"].tolist() == np.eye(3).tolist()
    assert rows(runtime.calls) == [("a", 3), ("b", 3)] * 2 + [("a", 3), ("b", 3)] * 2 + [("a", 1), ("b", 1)]
    assert [model.session.images for model in tested] == [[3, 3, 1]] * 2  # without the warm-up
    assert told == [3, 6, 7]
    if judged:
        found = [model.scorer.metrics()["top1"] for model in tested if model.scorer]
        assert found == [pytest.approx(6 / 7)] * 2


def test_the_first_calls_alone() -> None:
    runtime, data = FakeRuntime(), Data(100)
    tested = models(runtime, "a", judged=True)
    count, _ = run_over(tested, data, batch_size=4, warmup=0, calls=2)
    assert count == 8
    assert rows(runtime.calls) == [("a", 4), ("a", 4)]
    assert data.read <= 4 + 9  # the warm-up's batch, and no more than one sample beyond


def test_a_fixed_batch_takes_one_sample_at_a_time() -> None:
    runtime = FakeRuntime(shape=(1, 3))
    run_over(models(runtime, "a"), Data(3), batch_size=50, warmup=1, calls=None)
    assert rows(runtime.calls) == [("a", 1)] * 4


def test_no_samples() -> None:
    with pytest.raises(DataError, match="no samples to measure with"):
        run_over(models(FakeRuntime(), "a"), Data(0), batch_size=1, warmup=1, calls=None)


@pytest.mark.parametrize(
    ("measure", "data", "told"),
    [
        (Measurement(warmup=-1), True, "warm-up -1"),
        (Measurement(iterations=-1), False, "iterations -1"),
        (Measurement(accuracy=True), False, "needs data with labels"),
        (Measurement(iterations=0), False, "0 iterations stand for all of the data"),
        (Measurement(shapes={"x": (1, 3)}), True, "--shape is for random inputs"),
    ],
)
def test_options_that_do_not_go_together(measure: Measurement, data: bool, told: str) -> None:
    with pytest.raises(DataError, match=told):
        measure.require_fit(data=data)
    Measurement().require_fit(data=data)
