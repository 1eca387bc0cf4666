from pathlib import Path

import numpy as np
import pytest

from tests.graph.build import build
from tests.models import inception, noise, residual
from tinyint.calibrate import CalibrationRecord, calibrate
from tinyint.calibrate.instrument import instrument
from tinyint.data import Sample
from tinyint.errors import DataError, RecordError
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


def test_a_sample_that_overflows_is_named():
    model = prepare(
        build(
            "net (float[1, 1, 2, 2] x) => (float[1, 1, 2, 2] y) { y = Conv (x, w) }",
            w=np.float32([[[[1e30]]]]),
        )
    )
    fine, huge = np.ones((1, 1, 2, 2), np.float32), np.full((1, 1, 2, 2), 1e30, np.float32)
    with pytest.raises(DataError, match=r"sample bad\.png: tensor 'y'"):
        run(model, [Sample({"x": fine}, name="good.png"), Sample({"x": huge}, name="bad.png")])


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
