import numpy as np
import pytest

from tests.graph.build import build
from tests.models import inception, residual
from tests.quantization.calibration.build import run, samples_of, saved
from tinyint.data import Sample
from tinyint.errors import DataError, DependencyError, RecordError
from tinyint.graph.prepare import prepare
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.runtimes import get_runtime


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
