"""Samples of open sizes, which one graph observes, or two."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tests.quantization.calibration.build import run, saved
from tinyint.data import Sample
from tinyint.errors import ModelError
from tinyint.graph.passes.shapes import ShapesOf
from tinyint.graph.prepare import prepare
from tinyint.graph.walk import constant_of
from tinyint.quantization.calibration.instrument import assumed_shapes, instrument

OPEN_IMAGES = (
    "net (float[N, 3, H, W] x) => (float[N, 2, H, W] y) { a = Conv (x, v) b = Sigmoid (a) y = Conv (b, w) }"
)


def open_images() -> ir.Model:
    return prepare(build(OPEN_IMAGES, v=(16, 3, 1, 1), w=(2, 16, 1, 1)))


def test_images_of_open_sizes_are_pooled() -> None:
    model = open_images()
    instrumented = instrument(model, shapes=assumed_shapes(ShapesOf(model))).model
    added = Counter(node.op_type for node in instrumented.graph) - Counter(
        node.op_type for node in model.graph
    )
    # of x, which no operator has made, a slice; of a, b and y a grid and the peaks on both sides
    assert added == Counter(
        MaxPool=3, GlobalMaxPool=6, Conv=3, Reshape=1, Slice=1, ReduceMin=1, ReduceMax=1, Concat=2
    )


def test_no_order_or_split_of_images_of_many_sizes_makes_a_difference(tmp_path: Path) -> None:
    model, rng = open_images(), np.random.default_rng(0)
    sizes = [(8, 8), (300, 400), (40, 9), (128, 128)]
    samples = [Sample({"x": rng.normal(size=(1, 3, *size)).astype(np.float32)}) for size in sizes]
    record, reordered = run(model, samples), run(model, samples[::-1])
    left, right = run(model, samples[:2]), run(model, samples[2:])
    left.merge(right)
    files = [saved(r, tmp_path / str(i)) for i, r in enumerate((record, reordered, left))]
    assert files[0] == files[1] == files[2]
    summary = record.summaries["a"]
    weights = constant_of(next(iter(model.graph)).inputs[1])
    assert weights is not None
    values = [np.einsum("oi,nihw->nohw", weights[:, :, 0, 0], s.inputs["x"]) for s in samples]
    assert summary.lo == pytest.approx(min(v.min(initial=0) for v in values), rel=1e-5)
    assert summary.hi == pytest.approx(max(v.max(initial=0) for v in values), rel=1e-5)
    assert summary.elements == sum(v.size for v in values)
    # a grid of every eighth row and column, as for 128 x 128; of the 30,400 of the largest image every seventh
    assert summary.histogram.total == 16 * (1 + 5 * 2 + 16 * 16) + 4343


def test_what_may_be_empty_is_observed_all_the_same() -> None:
    """A selection of nothing, whose size no shape tells."""
    model = prepare(
        build(
            "net (float[R, 4] x, bool[R] k) => (float[S, 3] y) {"
            " s = Compress <axis = 0> (x, k) a = Mul (s, two) y = MatMul (a, w) }",
            two=np.float32(2.0),
            w=(4, 3),
        )
    )
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    chosen = [[True, False, True], [False, False, False], [False, True, False]]
    record = run(model, [Sample({"x": x, "k": np.array(k)}) for k in chosen])
    assert (record.samples, record.summaries["a"].elements) == (3, 12)
    assert (record.summaries["a"].lo, record.summaries["a"].hi) == (0.0, 22.0)


def test_a_sample_that_the_model_fails_on_is_the_models_error() -> None:
    model = prepare(
        build("net (float[1, R] x) => (float[1, 4] y) { a = Relu (x) y = MatMul (a, w) }", w=(3, 4))
    )
    with pytest.raises(ModelError, match="failed to run it"):
        run(model, [Sample({"x": np.ones((1, 3), np.float32)}), Sample({"x": np.ones((1, 5), np.float32)})])
