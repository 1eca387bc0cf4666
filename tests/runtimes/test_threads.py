"""Sessions that several threads share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from tests.runtimes.graphs import Graph
from tinyint.runtimes import Session, get_runtime

THREADS, CALLS, SIDE = 8, 60, 128


def open_product(runtime: str) -> Session:
    """x · 2I with a batch of any size, of enough work that threads meet."""
    g = Graph("N", SIDE)
    doubled = g.add("MatMul", ["x", g.constant("w", 2 * np.eye(SIDE, dtype=np.float32))], "dense")
    return get_runtime(runtime).open(g.model(g.add("Relu", [doubled], "relu")), threads=1)


@pytest.mark.parametrize("method", ["run", "run_transient"])
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_each_thread_gets_its_own_answer(runtime: str, method: str) -> None:
    session = open_product(runtime)
    together = Barrier(THREADS)

    def work(number: int) -> list[float]:
        together.wait()
        seen = []
        for call in range(CALLS):
            value = number * CALLS + call
            rows = 16 + call % 2  # shapes change, too
            (out,) = getattr(session, method)({"x": np.full((rows, SIDE), value, np.float32)}).values()
            assert out.shape == (rows, SIDE)
            if out.min() != 2 * value or out.max() != 2 * value:
                seen.append(float(out[0, 0]) / 2 - value)
        return seen

    with ThreadPoolExecutor(THREADS) as pool:
        wrong = [seen for part in pool.map(work, range(THREADS)) for seen in part]
    assert wrong == []


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_transient_outputs_last_until_the_same_threads_next_call(runtime: str) -> None:
    session = open_product(runtime)
    ones, fives = (np.full((2, SIDE), value, np.float32) for value in (1, 5))
    session.run_transient({"x": ones})
    kept = session.run_transient({"x": ones})["relu_out"]
    session.run({"x": fives})
    with ThreadPoolExecutor(1) as other:
        for _ in range(2):
            other.submit(session.run_transient, {"x": fives}).result()
    assert (kept == 2).all()
