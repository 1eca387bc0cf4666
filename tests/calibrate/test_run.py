import shutil
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tests.models import inception, noise, residual, transformer
from tinyint.calibrate import CalibrationRecord, calibrate
from tinyint.calibrate.instrument import instrument
from tinyint.data import Sample
from tinyint.errors import DataError, DependencyError, ModelError, RecordError
from tinyint.graph.flow import observed
from tinyint.graph.prepare import prepare
from tinyint.runtimes import get_runtime


def samples_of(model, count=6, seed=0) -> list[Sample]:
    return [Sample(inputs, name=f"s{i}") for i, inputs in enumerate(noise(model, count, seed))]


def run(model, samples, **options) -> CalibrationRecord:
    return calibrate(model, samples, fingerprint="f", threads=1, **options)


def saved(record: CalibrationRecord, path: Path) -> bytes:
    record.save(path)
    return path.read_bytes()


def test_observed_are_the_tensors_that_decide_a_scale():
    # behind the Relus, before the MaxPool
    assert [v.name for v in observed(inception().graph)] == ["x", "ar", "br", "c", "y"]


def test_extrema_are_exact():
    model = inception()
    samples = samples_of(model)
    record = run(model, samples)
    exposed = model.clone()
    tensors = {v.name: v for n in exposed.graph for v in n.outputs}
    exposed.graph.outputs.append(tensors["c"])
    session = get_runtime("onnxruntime").open(exposed, threads=1)
    seen = np.stack([session.run(s.inputs)["c"] for s in samples])
    assert record.summaries["c"].lo == seen.min()
    assert record.summaries["c"].hi == seen.max()
    assert record.summaries["x"].hi == max(s.inputs["x"].max() for s in samples)


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


def test_split_and_reordered_data_give_the_same_bytes(tmp_path):
    model = residual()
    samples = samples_of(model)
    whole = run(model, samples)
    reordered = run(model, samples[::-1])
    left, right = run(model, samples[:2]), run(model, samples[2:])
    right.merge(left)
    files = [saved(record, tmp_path / str(i)) for i, record in enumerate((whole, reordered, right))]
    assert files[0] == files[1] == files[2]


def test_a_record_survives_the_file(tmp_path):
    model = residual()
    record = run(model, samples_of(model))
    record.save(tmp_path / "r.npz")
    assert CalibrationRecord.load(tmp_path / "r.npz") == record


def test_a_calibration_that_is_interrupted_resumes(tmp_path):
    model = residual()
    samples = samples_of(model)
    checkpoint = tmp_path / "partial.npz"

    def interrupted():
        yield from samples[:4]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(model, interrupted(), checkpoint=checkpoint)
    assert CalibrationRecord.load(checkpoint).samples == 4
    done = []
    record = run(model, samples, checkpoint=checkpoint, progress=done.append)
    assert done == [5, 6]
    assert record == run(model, samples)
    assert not checkpoint.exists()


def test_a_checkpoint_that_cannot_be_written_does_not_hide_why_calibration_ended(tmp_path):
    model = residual()

    def interrupted():
        yield from samples_of(model, 2)
        raise KeyboardInterrupt

    (tmp_path / "file").touch()
    with pytest.raises(KeyboardInterrupt):
        run(model, interrupted(), checkpoint=tmp_path / "file" / "partial.npz")


@pytest.mark.parametrize("loss", ["removed", "replaced by a file"])
def test_a_cache_that_is_lost_on_the_way_ends_no_calibration(tmp_path, monkeypatch, loss):
    model, place = residual(), tmp_path / "cache"
    place.mkdir()
    monkeypatch.setattr("tinyint.calibrate.run._CHECKPOINT_SECONDS", 0.0)

    def samples():
        for i, sample in enumerate(samples_of(model)):
            if i == 3:
                shutil.rmtree(place)
                if loss != "removed":
                    place.touch()
            yield sample

    record = run(model, samples(), checkpoint=place / "partial.npz")
    assert record == run(model, samples_of(model))


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of file sizes")
def test_a_full_disk_ends_no_calibration(tmp_path, monkeypatch):
    import resource

    model = residual()
    monkeypatch.setattr("tinyint.calibrate.run._CHECKPOINT_SECONDS", 0.0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        record = run(model, samples_of(model), checkpoint=tmp_path / "partial.npz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert record == run(model, samples_of(model))
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_other_samples_is_not_used(tmp_path):
    model = residual()
    checkpoint = tmp_path / "partial.npz"
    run(model, samples_of(model, 3, seed=9)).save(checkpoint)
    samples = samples_of(model)
    with pytest.warns(UserWarning, match="other samples"):
        record = run(model, samples, checkpoint=checkpoint)
    assert record == run(model, samples)


def test_records_of_different_models_do_not_merge():
    record = run(residual(), samples_of(residual(), 1))
    with pytest.raises(RecordError, match="another model"):
        record.merge(CalibrationRecord("other"))


def test_no_samples():
    with pytest.raises(DataError, match="no calibration samples"):
        run(residual(), [])


def test_a_sample_that_makes_nan_is_named():
    model = prepare(
        build("net (float[1, 4] x) => (float[1, 2] y) { r = Sqrt (x) y = MatMul (r, w) }", w=(4, 2))
    )
    fine, bad = np.ones((1, 4), np.float32), np.float32([[1, 1, -1, 1]])
    with pytest.raises(DataError, match=r"sample bad\.png: tensor 'r' becomes NaN"):
        run(model, [Sample({"x": fine}, name="good.png"), Sample({"x": bad}, name="bad.png")])


def ranges_of(model: ir.Model, sample: Sample) -> dict[str, tuple[float, float]]:
    """The extrema of every observed tensor, from the tensors themselves; zero if there is nothing."""
    exposed = model.clone()
    names = [value.name or "" for value in observed(model.graph)]
    tensors = {value.name: value for node in exposed.graph for value in node.outputs}
    exposed.graph.outputs.extend(
        tensors[n] for n in names if n in tensors and not tensors[n].is_graph_output()
    )
    found = get_runtime("onnxruntime").open(exposed, threads=1).run(sample.inputs) | dict(sample.inputs)
    return {n: (found[n].min(initial=0.0), found[n].max(initial=0.0)) for n in names}


FOLDED = {
    "frames in the batch, joined again": (
        """
        net (float[N, 4, 3, 16, 16] x) => (float[N, 5] y) {
          frames = Reshape (x, flat) c = Conv (frames, w1) r = Relu (c) v = Reshape (r, apart)
          m = ReduceMean <axes = [1], keepdims = 0> (v) d = Conv (m, w2) g = GlobalAveragePool (d)
          f = Flatten (g) y = MatMul (f, w3)
        }
        """,
        {
            "flat": np.array([-1, 3, 16, 16]),
            "apart": np.array([-1, 4, 8, 14, 14]),
            "w1": (8, 3, 3, 3),
            "w2": (8, 8, 3, 3),
            "w3": (8, 5),
        },
        (1, 4, 3, 16, 16),
    ),
    "windows": (
        """
        net (float[1, 4, 8, 8] x) => (float[1, 16, 4, 4] y) {
          c = Conv (x, w1) s = SpaceToDepth <blocksize = 2> (c) p = Reshape (s, windows)
          q = Conv (p, w2) t = Transpose <perm = [1, 0, 2, 3]> (q) y = Conv (t, w3)
        }
        """,
        {"windows": np.array([4, 4, 4, 4]), "w1": (4, 4, 1, 1), "w2": (1, 4, 1, 1), "w3": (16, 4, 1, 1)},
        (1, 4, 8, 8),
    ),
    "a recurrent net along the width": (
        """
        net (float[1, 4, 1, 9] x) => (float[9, 1, 6] y) {
          c = Conv (x, w1) s = Squeeze (c, two) t = Transpose <perm = [2, 0, 1]> (s)
          l = LSTM <hidden_size = 3, direction = "bidirectional"> (t, wl, rl)
          a = Add (l, l) o = Transpose <perm = [0, 2, 1, 3]> (a) f = Reshape (o, rows) y = MatMul (f, w2)
        }
        """,
        {
            "two": np.array([2]),
            "rows": np.array([9, 1, 6]),
            "w1": (4, 4, 1, 1),
            "wl": (2, 12, 4),
            "rl": (2, 12, 3),
            "w2": (6, 6),
        },
        (1, 4, 1, 9),
    ),
    "regions of an image, as many as there are": (
        """
        net (float[1, 4, 8, 8] x) => (float[R, 5] y) {
          c = Conv (x, w1) k = Greater (x, high) n = NonZero (k) t = Transpose (n) b = Cast <to = 1> (t)
          ids = Gather (n, zero) r = RoiAlign <output_height = 2, output_width = 2, sampling_ratio = 2> (c, b, ids)
          d = Conv (r, w2) f = Flatten (d) y = MatMul (f, w3)
        }
        """,
        {
            "high": np.float32(1.5),
            "zero": np.int64(0),
            "w1": (4, 4, 1, 1),
            "w2": (4, 4, 1, 1),
            "w3": (16, 5),
        },
        (1, 4, 8, 8),
    ),
}


@pytest.mark.parametrize("name", FOLDED)
def test_axis_0_need_not_be_the_batch(name):
    text, weights, shape = FOLDED[name]
    model = prepare(build(text, **weights))
    sample = Sample({"x": np.random.default_rng(0).normal(size=shape).astype(np.float32)})
    record = run(model, [sample])
    wanted = ranges_of(model, sample)
    found = {n: (min(s.lo, 0.0), max(s.hi, 0.0)) for n, s in record.summaries.items()}
    assert found.keys() == wanted.keys()
    for tensor, (lo, hi) in wanted.items():
        assert found[tensor] == pytest.approx((lo, hi), rel=1e-6), tensor


def test_a_batch_at_a_time_gives_what_one_by_one_gives(tmp_path):
    model = residual()
    samples = samples_of(model, count=7)
    one = run(model, samples)
    for size in (2, 3, 7, 20):
        many = run(model, samples, batch_size=size)
        assert many.seen == one.seen
        for name, summary in one.summaries.items():
            other = many.summaries[name]
            assert other.mean_extrema() == pytest.approx(summary.mean_extrema(), rel=1e-5)
            assert other.moving_average() == pytest.approx(summary.moving_average(), rel=1e-5)
            assert (other.elements, other.histogram.total) == (summary.elements, summary.histogram.total)
    # the samples' order and what stands beside them in a batch make no difference
    files = [
        saved(run(model, order, batch_size=3), tmp_path / str(i))
        for i, order in enumerate((samples[:6], samples[5::-1]))
    ]
    assert files[0] == files[1]


def test_batches_of_open_sizes_and_of_infinities():
    model = prepare(
        build(
            """
            net (float[N, R, 4] x) => (float[N, R, 3] y) {
              k = Greater (x, t) m = Where (k, x, fill) a = Add (m, t) s = Sigmoid (a) y = MatMul (s, w)
            }
            """,
            t=np.float32(-1.0),
            fill=np.float32(-np.inf),
            w=(4, 3),
        )
    )
    rng = np.random.default_rng(0)
    shapes = [(1, 6, 4), (1, 6, 4), (1, 3000, 4), (1, 3000, 4), (1, 6, 4)]
    samples = [Sample({"x": rng.normal(size=shape).astype(np.float32)}) for shape in shapes]
    one, many = run(model, samples), run(model, samples, batch_size=4)
    assert one.summaries["a"] == many.summaries["a"]
    assert one.summaries["a"].infinite > 0
    assert many.summaries["y"].mean_extrema() == pytest.approx(one.summaries["y"].mean_extrema(), rel=1e-5)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (inception, r"its input 'x' has the fixed shape \[1, 4, 8, 8\].*batch size of 1"),
        (
            lambda: prepare(
                build(
                    FOLDED["frames in the batch, joined again"][0],
                    **FOLDED["frames in the batch, joined again"][1],
                )
            ),
            "axis 0 of tensor '.' does not count the samples.*batch size of 1",
        ),
    ],
)
def test_what_mixes_samples_is_not_calibrated_in_batches(model, told):
    with pytest.raises(ModelError, match=told):
        run(model(), [], batch_size=2)


def test_the_batch_is_known_through_reshapes():
    run(transformer(), samples_of(transformer()), batch_size=3)


def test_cuda_is_asked_for_by_name(monkeypatch):
    """The provider is ONNX Runtime's; which one it got is seen where the session is made."""
    import onnxruntime

    made, plain = [], onnxruntime.InferenceSession

    def session(data, options, providers):
        made.append(providers)
        return plain(data, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr("onnxruntime.InferenceSession", session)
    model = residual()
    with pytest.raises(DependencyError, match="onnxruntime-gpu"):
        run(model, samples_of(model), provider="cuda")
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    record = run(model, samples_of(model), provider="cuda")
    assert record == run(model, samples_of(model))
    assert made == [
        [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"],
        ["CPUExecutionProvider"],
    ]


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
    # 40 elements in full, and every fifth of 20,200: 20200 // 8192 · 2 + 1
    assert record.summaries["x"].histogram.total == 40 + 4040


def test_the_instrumented_graph_keeps_the_model_apart():
    model = residual()
    before = len(list(model.graph))
    instrument(model)
    assert len(list(model.graph)) == before
