"""A model that is open: runs, streams, threads and its end."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import tinyint
from tests.runtimes.graphs import Graph
from tinyint.errors import DataError, ModelError
from tinyint.runtimes.base import Feeds

SIDE = 64


def feeds(value: float, rows: int = 3) -> dict[str, np.ndarray]:
    return {"x": np.full((rows, SIDE), value, np.float32)}


@pytest.fixture(params=["onnxruntime", "openvino"])
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def doubling() -> bytes:
    """x · 2I."""
    g = Graph("N", SIDE)
    return g.model(g.add("MatMul", ["x", g.constant("w", 2 * np.eye(SIDE, dtype=np.float32))], "y"))


@pytest.mark.parametrize("threads", [1, 2])
def test_map_is_run_in_order(runtime: str, doubling: bytes, threads: int) -> None:
    with tinyint.open(doubling, runtime, threads=threads) as model:
        results = list(model.map(feeds(i, rows=1 + i % 3) for i in range(20)))
        for i, outputs in enumerate(results):
            assert (outputs["y_out"] == 2 * i).all()
            assert outputs["y_out"].shape == (1 + i % 3, SIDE)


def test_map_takes_an_array_that_is_filled_again(runtime: str, doubling: bytes) -> None:
    array = np.zeros((1, SIDE), np.float32)

    def refilled() -> Iterator[Feeds]:
        for i in range(12):
            array[:] = i
            yield {"x": array}

    found = [outputs["y_out"][0, 0] for outputs in tinyint.open(doubling, runtime).map(refilled())]
    assert found == [2 * i for i in range(12)]


def test_an_error_of_one_feed_is_at_its_place_and_the_others_run(runtime: str, doubling: bytes) -> None:
    results = tinyint.open(doubling, runtime).map([feeds(1), {"x": np.zeros((1, 3), np.float32)}, feeds(3)])
    assert (next(results)["y_out"] == 2).all()
    with pytest.raises(DataError, match=r"expected float32 \[\?, 64\], got float32 \[1, 3\]"):
        next(results)
    assert (next(results)["y_out"] == 6).all()


def test_what_is_no_mapping_is_named(doubling: bytes) -> None:
    results = tinyint.open(doubling).map(feeds(1))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="for each call, got a str"):
        next(results)


def test_many_threads_run_and_map_one_model(runtime: str, doubling: bytes) -> None:
    model = tinyint.open(doubling, runtime, threads=2)

    def work(number: int) -> bool:
        if number % 2:
            return all((o["y_out"] == 2 * number).all() for o in model.map(feeds(number) for _ in range(20)))
        kept = [model.run(feeds(number + i))["y_out"] for i in range(20)]
        return all((y == 2 * (number + i)).all() for i, y in enumerate(kept))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_a_closed_model_says_so(runtime: str, doubling: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(doubling)
    with tinyint.open(path, runtime, threads=2) as model:
        results = model.map(feeds(i) for i in range(50))
        kept = next(results)["y_out"]
    model.close()
    assert (kept == 0).all()
    for call in (lambda: model.run(feeds(1)), lambda: model.run_transient(feeds(1)), lambda: model.map([])):
        with pytest.raises(ModelError, match=r"model\.onnx was closed; open it again with tinyint\.open"):
            call()
    with pytest.raises(ModelError, match="was closed"):
        list(results)


def test_closing_waits_for_no_run_and_breaks_none(runtime: str, doubling: bytes) -> None:
    model = tinyint.open(doubling, runtime, threads=1)

    def work(_: int) -> int:
        done = 0
        while True:
            try:
                outputs = model.run(feeds(done))
            except ModelError:
                return done
            assert (outputs["y_out"] == 2 * done).all()
            done += 1
            if done == 50:
                model.close()

    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(work, range(4))) >= 50
