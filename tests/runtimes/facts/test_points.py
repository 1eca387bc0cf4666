"""What OpenVINO 2026.4.1 makes of convolutions of one place: where they stand beside a Transpose or a Reshape, and
their weights are stored in integers, and where they have both strides and padding, after a quantizer.

In processes of their own, since it writes results of another shape than it has reserved memory for, and may end there.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest

from tests.processor import X86
from tests.runtimes.facts.probes import OPENVINO, ORT
from tests.runtimes.graphs import Graph
from tinyint.errors import ModelError
from tinyint.runtimes.host import host

pytestmark = X86

PLAIN, STRIDED, PADDED, BOTH = ((1, 0), (2, 0), (1, 1), (2, 1))
FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)
FRESH = multiprocessing.get_context("forkserver")


def point(
    window: tuple[int, int],
    before: Sequence[int] | None = None,
    after: str | Sequence[int] | None = None,
    *,
    batch: int | str = 1,
    kernel: int = 1,
    group: int = 1,
    rank: int = 2,
    bias: bool = False,
    added: bool = False,
    quantized: bool = False,
    floats: bool = False,
) -> bytes:
    """A convolution with (stride, padding), between Transposes by their order, or before another operator."""
    g = Graph(batch, 4, *[4] * rank)
    x = "x" if before is None else g.add("Transpose", ["x"], "before", perm=before)
    shape = (4, 4 // group, *[kernel] * rank)
    weight = g.constant("w", g.rng.normal(size=shape).astype(np.float32)) if floats else g.weight("w", shape)
    inputs = [g.quantized(x) if quantized else x, weight]
    inputs += [g.constant("b", np.linspace(-1, 1, 4, dtype=np.float32))] if bias else []
    stride, padding = window
    attributes = {"strides": [stride] * rank, "pads": [padding] * 2 * rank, "group": group}
    y = g.add("Conv", inputs, "conv", **attributes)
    y = g.add("Add", [y, g.constant("c", np.ones((1, 4, 1, 1), np.float32))], "add") if added else y
    match after:
        case "Unsqueeze":
            y = g.add(after, [y, g.constant("axes", np.array([0]))], "after")
        case "Reshape":
            y = g.add(after, [y, g.constant("shape", np.array([0, 4, -1]))], "after")
        case str():
            y = g.add(after, [y], "after")
        case tuple():
            y = g.add("Transpose", [y], "after", perm=after)
    return g.model(y)


def _is_right(model: bytes) -> bool:
    simulated = ORT.open(model, threads=1, optimize=False)
    feeds = {
        "x": np.random.default_rng(1).uniform(-6, 6, (1, *simulated.inputs[0].shape[1:])).astype(np.float32)
    }
    (expected,) = simulated.run(feeds).values()
    try:
        (found,) = OPENVINO.open(model, threads=1).run(feeds).values()
    except ModelError:
        return False
    return found.shape == expected.shape and float(np.abs(found - expected).max()) < 0.1


def is_right(model: bytes) -> bool:
    with ProcessPoolExecutor(1, mp_context=FRESH) as pool:
        try:
            return pool.submit(_is_right, model).result()
        except BrokenProcessPool:
            return False


@pytest.mark.parametrize("batch", [1, "n"])
class TestStoredWeights:
    @pytest.mark.parametrize("window", [STRIDED, PADDED, BOTH])
    @pytest.mark.parametrize("after", ["Flatten", "Reshape", "Unsqueeze", LAST])
    def test_strides_and_padding_are_lost(
        self, after: str | Sequence[int], window: tuple[int, int], batch: int | str
    ) -> None:
        assert not is_right(point(window, after=after, batch=batch))

    @pytest.mark.parametrize("window", [STRIDED, PADDED])
    def test_so_they_are_after_a_transpose_and_with_a_bias_or_sum(
        self, window: tuple[int, int], batch: int | str
    ) -> None:
        assert not is_right(point(window, before=FIRST, after="Relu", batch=batch))
        assert not is_right(point(window, after="Flatten", bias=True, batch=batch))
        assert not is_right(point(window, after="Flatten", added=True, batch=batch))

    @pytest.mark.parametrize("order", [(0, 3, 2, 1), (0, 1, 3, 2)])
    def test_any_order_of_axes_is_taken_for_the_usual_one(
        self, order: Sequence[int], batch: int | str
    ) -> None:
        assert not is_right(point(PLAIN, after=order, batch=batch))
        assert not is_right(point(PLAIN, before=order, after="Tanh", batch=batch))

    @pytest.mark.parametrize(
        "model",
        [
            {"window": PLAIN, "before": FIRST, "after": LAST},
            {"window": PLAIN, "after": "Flatten"},
            {"window": BOTH, "after": "Relu"},
            {"window": BOTH, "after": "Flatten", "kernel": 2},
            {"window": BOTH, "after": "Flatten", "group": 2},
            {"window": BOTH, "after": "Flatten", "rank": 1},
            {"window": BOTH, "after": "Flatten", "rank": 3},
            {"window": BOTH, "after": "Flatten", "floats": True},
            {"window": STRIDED, "after": "Flatten", "quantized": True},
            {"window": PADDED, "after": "Flatten", "quantized": True},
        ],
        ids=str,
    )
    def test_all_is_well_otherwise(self, model: dict[str, object], batch: int | str) -> None:
        assert is_right(point(batch=batch, **model))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, "n"])
def test_strides_are_taken_before_the_padding_after_a_quantizer(batch: int | str, rank: int) -> None:
    how = {"batch": batch, "rank": rank, "quantized": True}
    assert not is_right(point(BOTH, **how))
    for window in (PLAIN, STRIDED, PADDED):
        assert is_right(point(window, **how))
    assert is_right(point(BOTH, kernel=2, **how))
    assert is_right(point(BOTH, group=2, **how))


def _ends(model: bytes, threads: int) -> None:
    session = OPENVINO.open(model, threads=threads)
    for _ in range(6):
        session.run({"x": np.ones((1, *session.inputs[0].shape[1:]), np.float32)})


@pytest.mark.parametrize(
    ("width", "padding", "kernel", "ends"),
    [(1, 1, 1, True), (2, 2, 1, True), (8, 1, 1, False), (1, 1, 2, False)],
)
def test_the_process_ends_where_one_of_two_threads_has_only_windows_of_padding(
    width: int, padding: int, kernel: int, ends: bool
) -> None:
    g = Graph(1, 1, width)
    inputs = [g.quantized("x", zero_point=0), g.weight("w", (2, 1, kernel))]
    model = g.model(g.add("Conv", inputs, "conv", pads=[0, padding]))
    process = FRESH.Process(target=_ends, args=(model, 2))
    process.start()
    process.join()
    if ends and not host().has_avx512:
        pytest.skip("a fact about processors with AVX-512")
    assert bool(process.exitcode) is ends
