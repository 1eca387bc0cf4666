"""What the instrumented graph observes."""

import numpy as np
import pytest

from tests.graph.build import build
from tests.models import inception, residual
from tests.quantization.calibration.build import run, samples_of, saved
from tinyint.data import Sample
from tinyint.graph.flow import observed
from tinyint.graph.prepare import prepare
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.calibration.instrument import instrument


def test_observed_are_the_tensors_that_decide_a_scale():
    # after the Relus, before the MaxPool
    assert [v.name for v in observed(inception().graph)] == ["x", "ar", "br", "c", "y"]


def test_every_element_of_a_small_tensor_is_counted():
    model = inception()
    record = run(model, samples_of(model, count=3))
    assert record.summaries["x"].histogram.total == 3 * 4 * 8 * 8


def test_a_large_tensor_is_sampled_all_over():
    model = prepare(
        build("net (float[1, 64, 49, 49] x) => (float[1, 1, 49, 49] y) { y = Conv (x, w) }", w=(1, 64, 1, 1))
    )
    # channel c holds the value c: a step that divided 49·49 would see few channels
    x = np.broadcast_to(np.arange(64, dtype=np.float32)[None, :, None, None], (1, 64, 49, 49)).copy()
    record = run(model, [Sample({"x": x})])
    edges, counts = record.summaries["x"].histogram.trimmed()
    assert np.count_nonzero(counts) == 64
    assert 0.5 * 4096 < counts.sum() < 2.1 * 4096
    del edges


MASKED = {
    "a sequence": (
        "net (float[1, 5, 8] x) => (float[1, 5, 3] y) {"
        " k = Greater (x, t) m = Where (k, x, fill) a = Add (m, one) s = Sigmoid (a) y = MatMul (s, w) }",
        {"w": (8, 3)},
        (1, 5, 8),
    ),
    "an image": (
        "net (float[1, 4, 90, 90] x) => (float[1, 2, 90, 90] y) { z = Conv (x, i)"
        " k = Greater (z, t) m = Where (k, z, fill) a = Add (m, one) s = Sigmoid (a) y = Conv (s, w) }",
        {"w": (2, 4, 1, 1), "i": np.eye(4, dtype=np.float32)[:, :, None, None]},
        (1, 4, 90, 90),
    ),
}


@pytest.mark.parametrize("shape", MASKED)
@pytest.mark.parametrize("fill", [-np.inf, np.inf])
def test_infinities_are_counted_and_the_rest_is_observed_as_it_is(tmp_path, shape, fill):
    text, weights, dims = MASKED[shape]
    constants = {"t": np.float32(-1.0), "one": np.float32(1.0), "fill": np.float32(fill)}
    model = prepare(build(text, **weights, **constants))
    rng = np.random.default_rng(0)
    plain = [rng.uniform(-0.9, 2, dims).astype(np.float32) for _ in range(2)]
    masked = [rng.normal(size=dims).astype(np.float32) for _ in range(2)]
    nothing = [np.full(dims, -2, np.float32)]
    arrays = [*plain, *masked, *nothing]
    samples = [Sample({"x": x}) for x in arrays]
    record = run(model, samples)
    summary = record.summaries["a"]
    kept = np.concatenate([x[x > -1] for x in arrays]) + np.float32(1.0)
    assert (summary.lo, summary.hi) == (min(kept.min(), 0.0), kept.max())
    assert summary.infinite == sum(int((x <= -1).sum()) for x in arrays)
    assert summary.elements == kept.size
    # the first infinity may come early or late, in any shard
    reordered = run(model, samples[::-1])
    left, right = run(model, samples[:2]), run(model, samples[2:])
    left.merge(right)
    files = [saved(r, tmp_path / str(i)) for i, r in enumerate((record, reordered, left))]
    assert files[0] == files[1] == files[2]
    assert CalibrationRecord.load(tmp_path / "0") == record


def test_the_least_float_is_a_value_like_any_other():
    least = np.finfo(np.float32).min
    model = prepare(
        build(
            "net (float[1, 4] x) => (float[1, 4] y) { a = Add (x, m) b = Softmax (a) y = MatMul (b, w) }",
            m=np.float32([0, 0, least, least]),
            w=(4, 4),
        )
    )
    record = run(model, [Sample({"x": np.float32([[1, 2, 3, 4]])})])
    assert record.summaries["a"].lo == least
    assert record.summaries["a"].infinite == 0


def test_varying_shapes_and_empty_tensors():
    model = prepare(build("net (float[1, R, 4] x) => (float[1, R, 3] y) { y = MatMul (x, w) }", w=(4, 3)))
    shapes = [(1, 10, 4), (1, 5050, 4), (1, 0, 4)]
    rng = np.random.default_rng(0)
    samples = [Sample({"x": rng.normal(size=shape).astype(np.float32)}) for shape in shapes]
    record = run(model, samples)
    assert record.samples == 3
    assert record.summaries["x"].hi == max(s.inputs["x"].max(initial=0) for s in samples)
    # 40 elements in full, and of 20,200 every seventh: 20200 // 4096, and on to what has no factor in common with it
    assert record.summaries["x"].histogram.total == 40 + 2886


def test_the_instrumented_graph_keeps_the_model_apart():
    model = residual()
    before = len(list(model.graph))
    instrument(model, shapes={})
    assert len(list(model.graph)) == before
