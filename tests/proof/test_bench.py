from __future__ import annotations

import numpy as np
import pytest

from tests.fake_runtime import FakeRuntime
from tinyint.errors import DataError
from tinyint.proof.bench import Entry, TimedSession, benchmark, random_feeds, timing
from tinyint.runtimes.base import TensorSpec


class Clock:
    """Moves only when a model runs: by the next of the model's durations, in seconds."""

    def __init__(self, durations: dict[str, list[float]]) -> None:
        self.now = 0.0
        self.durations = {model: iter(seconds) for model, seconds in durations.items()}

    def __call__(self) -> float:
        return self.now

    def run(self, model: str) -> None:
        self.now += next(self.durations[model])


def test_models_take_turns_and_figures_are_those_of_the_clock() -> None:
    # The first duration of each is the warm-up.
    clock = Clock({"a": [9.0, 0.001, 0.005, 0.002, 0.004, 0.003], "b": [9.0, 0.02, 0.02, 0.02, 0.02, 0.04]})
    runtime = FakeRuntime(on_call=clock.run)
    a, b = benchmark(
        [
            Entry(model="a", runtime=runtime),
            Entry(model="b", runtime=runtime, label="other", precision="bfloat16"),
        ],
        batch_size=6,
        warmup=1,
        iterations=5,
        threads=2,
        clock=clock,
    )
    assert [model for model, _ in runtime.calls] == ["a", "b"] * 6
    assert (a.model, a.runtime, a.precision, a.threads, a.batch_size, a.iterations) == (
        "a",
        "fake",
        "float32",
        2,
        6,
        5,
    )
    assert (b.model, b.precision) == ("other", "bfloat16")
    assert a.median_ms == pytest.approx(3.0)
    assert a.p90_ms == pytest.approx(4.6)  # 4 + 0.6 · (5 − 4)
    assert a.p99_ms == pytest.approx(4.96)  # 4 + 0.96 · (5 − 4)
    assert (a.min_ms, a.max_ms) == pytest.approx((1.0, 5.0))
    assert a.images_per_second == pytest.approx(2000.0)  # 6 images in 3 ms
    assert a.spread == pytest.approx(1.2)
    assert (b.median_ms, b.p90_ms) == pytest.approx((20.0, 32.0))


@pytest.mark.parametrize(("seconds", "rounds"), [(0.0, 10), (1.05, 11), (9.0, 20)])
def test_a_budget_ends_the_rounds_after_the_first_ten(seconds: float, rounds: int) -> None:
    clock = Clock({"a": [0.1] * 20})
    entry = Entry(model="a", runtime=FakeRuntime(on_call=clock.run))
    (found,) = benchmark([entry], warmup=0, iterations=20, seconds=seconds, clock=clock)
    assert found.iterations == rounds


def test_a_last_smaller_batch_does_not_count() -> None:
    clock = Clock({"a": [0.002, 0.004, 0.1]})
    entry = Entry(model="a", runtime=FakeRuntime(on_call=clock.run))
    session = TimedSession(entry.open(1), clock)
    for rows in (4, 4, 1):
        session.run_transient({"x": np.zeros((rows, 3), np.float32)})
    assert session.images == [4, 4, 1]
    found = timing(entry, session, 1)
    assert (found.batch_size, found.iterations, found.max_ms) == (4, 2, pytest.approx(4.0))
    assert found.images_per_second == pytest.approx(8 / 0.006)


def test_all_models_are_fed_the_same_values_every_time() -> None:
    runtime = FakeRuntime()
    benchmark([Entry(model=m, runtime=runtime) for m in "ab"], batch_size=4, warmup=1, iterations=2)
    first = runtime.calls[0][1]["x"]
    assert first.shape == (4, 3)
    assert np.ptp(first) > 1
    assert all(np.array_equal(feeds["x"], first) for _, feeds in runtime.calls)


def test_given_feeds_set_the_batch_size() -> None:
    runtime = FakeRuntime()
    feeds = {"x": np.ones((5, 3), np.float32)}
    (timing,) = benchmark([Entry(model="a", runtime=runtime)], warmup=0, iterations=1, feeds=feeds)
    assert timing.batch_size == 5
    assert runtime.calls[0][1]["x"] is feeds["x"]


def test_an_open_dimension_behind_the_batch_needs_a_shape() -> None:
    spec = TensorSpec(name="x", dtype=np.dtype("float32"), shape=(None, 3, None, 8))
    with pytest.raises(DataError, match=r"'x' has open dimensions, float32 \[\?, 3, \?, 8\].*--shape x="):
        random_feeds([spec])
    assert random_feeds([spec], shapes={"x": (2, 3, 7, 8)})["x"].shape == (2, 3, 7, 8)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "int32"])
def test_integers_are_small_enough_for_every_vocabulary(dtype: str) -> None:
    values = random_feeds([TensorSpec(name="ids", dtype=np.dtype(dtype), shape=(1, 200))])["ids"]
    assert values.dtype == dtype
    assert set(np.unique(values.astype(int))) == {0, 1}


def test_text_inputs_need_data() -> None:
    with pytest.raises(DataError, match="'text' is of type object"):
        random_feeds([TensorSpec(name="text", dtype=np.dtype(object), shape=(1,))])


@pytest.mark.parametrize("wrong", [{"iterations": 0}, {"warmup": -1}, {"threads": 0}, {"batch_size": 0}])
def test_counts_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(DataError, match="at least 1"):
        benchmark([Entry(model="a", runtime=FakeRuntime())], **wrong)


def test_a_shape_that_would_be_passed_over_is_told() -> None:
    entries = [Entry(runtime=FakeRuntime(), model=b"")]
    with pytest.raises(DataError, match="--shape NOPE=…: no model has the input 'NOPE'; known: "):
        benchmark(entries, shapes={"NOPE": (1,)}, iterations=1)
    name = FakeRuntime().open(b"").inputs[0].name
    with pytest.raises(DataError, match=f"--shape {name}=2,3,4,4 gives the batch, and --batch-size says 8"):
        benchmark(entries, shapes={name: (2, 3, 4, 4)}, batch_size=8, iterations=1)
