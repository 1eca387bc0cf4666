"""The verbs in Python, end to end on small networks."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image

import tinyint
from tests.models import noise, residual
from tinyint import api
from tinyint.calibrate import CalibrationRecord
from tinyint.data import Preprocessing
from tinyint.data.declared import saved_preprocessing
from tinyint.errors import DataError, DependencyError, ModelError, OutputError, RecordError
from tinyint.graph.io import load_model, save_model

SHAPE = (3, 16, 16)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TINYINT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "float.onnx"
    save_model(residual(), path)
    return path


@pytest.fixture
def samples() -> np.ndarray:
    return np.concatenate([sample["x"] for sample in noise(residual(), 12)])


def test_importing_the_package_loads_nothing_heavy():
    heavy = [
        "torch",
        "numpy",
        "onnx",
        "onnx_ir",
        "onnxruntime",
        "openvino",
        "typer",
        "rich",
        "pydantic",
        "jinja2",
    ]
    code = f"import sys, tinyint; print([m for m in {heavy} if m in sys.modules], 'quantize' in dir(tinyint))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[] True"


def test_every_public_name_is_there_and_sorted():
    assert list(tinyint.__all__) == sorted(tinyint.__all__)
    for name in tinyint.__all__:
        assert getattr(tinyint, name) is not None
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = tinyint.nothing_such


def test_quantize_writes_the_model_and_what_goes_with_it(model, samples, tmp_path):
    output = tmp_path / "net.int8.onnx"
    result = tinyint.quantize(model, samples, output=output, samples=8, threads=1)
    written = {path.name for path in tmp_path.iterdir()}
    beside = {"net.int8.calibration.npz", "net.int8.report.json", "net.int8.report.html"}
    assert written == {"float.onnx", "net.int8.onnx"} | beside
    assert json.loads((tmp_path / "net.int8.report.json").read_text()) == result.report.to_json()
    assert CalibrationRecord.load(tmp_path / "net.int8.calibration.npz") == result.record
    assert result.report.verification is not None
    assert result.report.verification.held_out
    assert result.report.verification.samples == 4
    assert result.report.sizes.int8 == output.stat().st_size
    assert result.report.sizes.baseline == model.stat().st_size


def test_without_output_nothing_is_written(model, samples, tmp_path):
    result = tinyint.quantize(load_model(model), samples, threads=1)
    assert result.path is None
    assert result.report.latency is not None
    assert [path.name for path in tmp_path.iterdir()] == ["float.onnx"]


def test_all_samples_used_for_calibration_is_said(model, samples):
    report = tinyint.quantize(model, samples, threads=1).report
    assert report.verification is not None
    assert not report.verification.held_out
    assert report.to_json()["held_out"] is False
    assert any("held-out" in warning for warning in report.warnings)


@pytest.mark.parametrize(("given", "held_out"), [(12, True), (8, False)])
def test_data_of_unknown_length_are_split_too(model, samples, given, held_out):
    def generate():
        return iter(samples[:given, None])

    report = tinyint.quantize(model, generate, samples=8, threads=1).report
    assert report.verification is not None
    assert report.verification.held_out is held_out


def test_of_data_that_shuffle_what_calibration_has_seen_proves_nothing(model, samples):
    generator, read = np.random.default_rng(0), []

    class Shuffled:
        def __iter__(self):
            order = generator.permutation(len(samples))
            read.append(order.tolist())
            return iter(samples[order, None])

    report = tinyint.quantize(model, Shuffled(), samples=8, threads=1).report
    assert report.verification is not None
    unseen = set(read[-1][8:]) - set(read[0][:8])
    assert 0 < len(unseen) < 4
    assert (report.verification.samples, report.verification.held_out) == (len(unseen), True)
    assert any("another order on each pass" in note for note in report.notes)


def test_all_samples_calibrate_where_that_is_said(model, samples):
    for options in ({"samples": "all"}, {"settings": ["samples=all"]}):
        report = tinyint.quantize(model, samples, threads=1, batch_size=4, **options).report
        assert report.calibration_samples == 12
        assert report.verification is not None
        assert not report.verification.held_out
    assert api.calibrate(model, samples, samples="all").samples == 12


def test_copies_of_the_calibration_samples_are_not_held_out(model, samples):
    report = tinyint.quantize(model, np.concatenate([samples[:6]] * 2), samples=6, threads=1).report
    assert report.verification is not None
    assert not report.verification.held_out


def test_without_verify_nothing_is_run_and_the_plan_is_told(model, samples):
    report = tinyint.quantize(model, samples, verify=False).report
    document = report.to_json()
    assert document["verification"] is None
    assert document["latency_ms"] is None
    assert document["coverage"]["measured"] is False
    assert document["coverage"]["macs_int8"] == 1.0


def test_a_record_takes_the_place_of_data(model, samples, tmp_path):
    record = api.calibrate(model, samples, samples=8)
    record.save(tmp_path / "record.npz")
    ours = tinyint.quantize(model, samples, samples=8, verify=False)
    theirs = tinyint.quantize(model, calibration=tmp_path / "record.npz", verify=False)
    assert ir.to_proto(ours.model).SerializeToString() == ir.to_proto(theirs.model).SerializeToString()
    no_data = tinyint.quantize(model, calibration=record, target="openvino", threads=1).report
    assert any("no samples" in warning for warning in no_data.warnings)
    assert no_data.latency is not None


def test_a_record_of_another_model_is_refused(model, samples):
    with pytest.raises(RecordError, match="another model"):
        tinyint.quantize(model, calibration=CalibrationRecord("0" * 64))


def test_calibration_of_files_is_cached_and_in_memory_data_are_not(model, samples, tmp_path, monkeypatch):
    np.save(tmp_path / "calib.npy", samples)
    first = api.calibrate(model, tmp_path / "calib.npy", samples=8)
    monkeypatch.setattr(sys.modules["tinyint.api.calibrate"], "run", _broken)
    assert api.calibrate(model, tmp_path / "calib.npy", samples=8) == first
    for data, count in ((samples, 8), (tmp_path / "calib.npy", 7)):
        with pytest.raises(AssertionError, match="again"):
            api.calibrate(model, data, samples=count)


def _broken(*_: object, **__: object) -> None:
    raise AssertionError("the model was run again")


def test_an_interrupted_calibration_goes_on_where_it_stopped(model, samples, tmp_path):
    np.save(tmp_path / "calib.npy", samples)
    data = tmp_path / "calib.npy"
    seen: list[int] = []

    def interrupt(step: str, done: int, total: int | None) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.calibrate(model, data, progress=interrupt)

    def note(step: str, done: int, total: int | None) -> None:
        seen.append(done)

    resumed = api.calibrate(model, data, progress=note)
    assert seen == list(range(6, 13))
    assert resumed == api.calibrate(model, samples)


def test_dead_channels_and_constant_tensors_are_no_obstacle(model, samples):
    dead = load_model(model)
    weight = dead.graph.initializers["w1"]
    array = weight.const_value.numpy().copy()
    array[2] = 0.0
    weight.const_value = ir.tensor(array, name="w1")
    dead.graph.initializers["b1"].const_value = ir.tensor(
        np.full(8, -1e3, np.float32), name="b1"
    )  # Relu gives 0
    report = tinyint.quantize(dead, samples, samples=8, threads=1).report
    assert report.verification is not None
    assert report.coverage.macs_int8 == 1.0
    assert all(math.isfinite(bound) and bound > 0 for row in report.tensors for bound in row.scale)


def test_images_are_read_as_declared_and_the_declaration_goes_with_the_model(model, tmp_path):
    generator = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for i in range(6):
            pixels = generator.integers(0, 256, (20, 24, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / label / f"{i}.png")
    (tmp_path / "pre.yaml").write_text("resize: 16\ncrop: 16\nmean: [0.5]\nstd: [0.25]\n")
    output = tmp_path / "int8.onnx"
    result = tinyint.quantize(
        model, tmp_path / "images", output=output, samples=8, preprocessing=tmp_path / "pre.yaml", threads=1
    )
    assert result.report.verification is not None
    assert (result.report.verification.samples, result.report.verification.held_out) == (4, True)
    assert saved_preprocessing(load_model(output).metadata_props) == Preprocessing.load(tmp_path / "pre.yaml")
    declared = api.evaluate(model, tmp_path / "images", preprocessing=tmp_path / "pre.yaml")
    assert declared.samples == 12
    assert api.evaluate(output, tmp_path / "images").samples == 12  # with what its metadata say


def test_weight_only_needs_no_data_and_runs_at_the_models_own_speed(model, tmp_path):
    output = tmp_path / "small.onnx"
    report = tinyint.quantize(model, output=output, recipe="weight_only", threads=1).report
    assert report.method == "weight_only"
    assert report.calibration_samples is None
    assert not (tmp_path / "small.calibration.npz").exists()
    session = tinyint.open(output, threads=1)
    assert session.run({"x": np.zeros((1, *SHAPE), np.float32)})["y"].shape == (1, 10)


def test_static_without_data_says_what_to_do(model):
    with pytest.raises(DataError, match="--calibration"):
        tinyint.quantize(model)


def test_preprocessing_is_kept_in_the_model(model, samples):
    declared = Preprocessing(resize=16, crop=(16, 16), mean=(0.5,), std=(0.25,))
    source = load_model(model)
    source.metadata_props.update(declared.to_metadata())
    made = tinyint.quantize(source, samples, verify=False).model
    assert saved_preprocessing(made.metadata_props) == declared


def test_a_failure_leaves_the_old_files(model, samples, tmp_path, monkeypatch):
    output = tmp_path / "net.onnx"
    output.write_bytes(b"old")
    (tmp_path / "net.report.html").write_bytes(b'<meta name="generator" content="tinyint">old')
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["tinyint.proof.prove"], "verify", interrupt)
    with pytest.raises(KeyboardInterrupt):
        tinyint.quantize(model, samples, output=output, threads=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_place_beside_the_model_that_cannot_be_written_leaves_all_as_it_was(model, samples, tmp_path):
    output = tmp_path / "net.onnx"
    output.write_bytes(b"old")
    (tmp_path / "net.report.json").mkdir()
    with pytest.raises(OutputError, match=r"net\.report\.json.*net\.onnx"):
        tinyint.quantize(model, samples, output=output, verify=False)
    assert output.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"float.onnx", "net.onnx", "net.report.json"}


def files_in(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.iterdir()}


def test_the_users_files_beside_the_output_stay(model, samples, tmp_path):
    """Those that are read, and those that only have the name of what would be written."""
    made = api.calibrate(model, samples, samples=5)
    made.save(tmp_path / "a.calibration.npz")
    np.savez(tmp_path / "b.calibration.npz", x=samples)
    (tmp_path / "c.report.json").write_text('{"mine": 1}')
    (tmp_path / "d.report.html").write_text("<title>mine</title>")
    (tmp_path / "e.report.html").symlink_to("d.report.html")
    (tmp_path / "f.onnx.data").write_bytes(b"mine")
    before = files_in(tmp_path)
    for name in "abcdef":
        data = str(tmp_path / "b.calibration.npz") if name == "b" else samples
        with pytest.raises(OutputError, match=rf"cannot write '.*/{name}\..*{name}\.onnx"):
            tinyint.quantize(model, data, output=tmp_path / f"{name}.onnx", samples=4, verify=False)
    assert files_in(tmp_path) == before
    tinyint.quantize(model, output=tmp_path / "a.onnx", recipe="weight_only", verify=False)  # needs no record
    assert files_in(tmp_path)["a.calibration.npz"] == before["a.calibration.npz"]


def test_a_run_replaces_what_an_earlier_one_left(model, samples, tmp_path):
    output, record = tmp_path / "net.onnx", tmp_path / "net.calibration.npz"
    for count in (4, 6):
        tinyint.quantize(model, samples, output=output, samples=count, verify=False)
        assert CalibrationRecord.load(record).samples == count
    before = record.read_bytes()
    # The record beside the model is given, and stays; with new settings, the rest is new.
    again = tinyint.quantize(
        model, output=output, calibration=record, settings=["calibration=percentile"], verify=False
    )
    assert again.record == CalibrationRecord.load(record)
    assert record.read_bytes() == before
    assert "percentile" in (tmp_path / "net.report.json").read_text()
    tinyint.quantize(model, samples, output=output, samples=5, verify=False)
    assert CalibrationRecord.load(record).samples == 5


def test_neither_external_data_nor_a_list_is_written_over(model, tmp_path):
    save_model(load_model(model), tmp_path / "big.onnx", external=True)
    (tmp_path / "images").mkdir()
    for i in range(3):
        Image.new("RGB", (16, 16), (9 * i, 0, 0)).save(tmp_path / "images" / f"{i}.png")
    (tmp_path / "images/mine.txt").write_text("0.png\n1.png\n2.png\n")
    data = f"{tmp_path}/images:mine.txt"
    for output in ("big.onnx.data", "images/mine.txt"):
        with pytest.raises(OutputError, match="it is the file that is read"):
            tinyint.quantize(tmp_path / "big.onnx", data, output=tmp_path / output)
        with pytest.raises(OutputError, match="it is the file that is read"):
            tinyint.quantize(tmp_path / "big.onnx", data, output=tmp_path / output, recipe="weight_only")
    with pytest.raises(OutputError, match="it is the file that is read"):
        tinyint.export(tmp_path / "big.onnx", tmp_path / "big.onnx.data", task="classification")


def test_a_place_that_cannot_be_written_is_seen_before_the_work(model, tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        tinyint.quantize(model, output=tmp_path / "no" / "net.onnx", recipe="weight_only")


def test_a_torch_module_without_example_inputs_is_refused_with_the_way_out():
    torch = pytest.importorskip("torch")
    with pytest.raises(ModelError, match="give example_inputs=x"):
        tinyint.quantize(torch.nn.Linear(2, 2))


def test_open_takes_the_runtime_that_the_model_is_for(model, samples):
    made = tinyint.quantize(model, samples, target="openvino", verify=False).model
    assert type(tinyint.open(made)).__name__ == "OpenVINOSession"
    assert type(tinyint.open(made, "onnxruntime")).__name__ == "OrtSession"
    assert type(tinyint.open(model)).__name__ == "OrtSession"
    with pytest.raises(DependencyError, match="onnxruntime"):
        tinyint.open(model, "onnxruntme")


def test_tensorrt_is_planned_and_checked_without_its_runtime(model, samples):
    report = tinyint.quantize(model, samples, samples=8, target="tensorrt", threads=1).report
    assert not report.coverage.measured
    assert report.latency is None
    assert report.verification is not None
    assert math.isfinite(report.verification.sqnr_db or math.nan)


def test_inspect_shows_what_a_model_declares_where_its_runtime_does_not_run(model, samples):
    made = tinyint.quantize(model, samples, target="tensorrt", settings=["skip=[fc]"])
    found = tinyint.inspect(made.model)
    assert (found.executed, found.runtime) == ((), "tensorrt")
    assert found.nodes_int8 == made.report.coverage.nodes_int8 > 2
    assert "recipe asks" in next(node.reason for node in found.float_nodes if node.name == "fc")
    assert not next(row for row in found.declared if row.name == "fc").int8
    assert any("what the file declares" in note for note in found.notes)
    foreign = tinyint.quantize(model, samples, target="x86-vnni", verify=False).model
    foreign.metadata_props.clear()
    others = tinyint.inspect(foreign, runtime="tensorrt")
    assert others.nodes_int8 >= 4
    assert any("TensorRT refuses it (int8)" in note for note in others.notes)


def test_inspect_tells_float_from_int8(model, samples):
    looked = tinyint.inspect(model)
    assert not looked.quantized
    assert {plan.target for plan in looked.plans} >= {"x86-vnni", "openvino", "tensorrt"}
    made = tinyint.quantize(model, samples, target="x86-vnni", settings=["skip=[fc]"], verify=False).model
    found = tinyint.inspect(made)
    assert found.quantized
    assert found.made_by == tinyint.__version__
    assert found.nodes_int8 >= 4
    assert any("recipe asks" in node.reason for node in found.float_nodes)
    assert {row.name for row in found.tensors if not row.constant} >= {"x"}


def test_benchmark_measures_every_model_on_every_runtime(model):
    timings = tinyint.benchmark(
        [model], runtimes=["onnxruntime", "openvino"], threads=1, iterations=3, warmup=1
    )
    assert [timing.runtime for timing in timings] == ["onnxruntime", "openvino"]
    with pytest.raises(DependencyError, match="does not run TensorRT engines itself") as caught:
        tinyint.benchmark([model], runtimes=["tensorrt"])
    assert "pip install" not in str(caught.value)


def test_evaluate_counts_right_answers(model, samples):
    session = tinyint.open(model)
    best = session.run({"x": samples})["y"].argmax(axis=1)
    right = api.evaluate(model, {"x": samples, "label": best})
    wrong = api.evaluate(model, {"x": samples, "label": (best + 1) % 10})
    assert (right.metrics["top1"], right.samples) == (1.0, 12)
    assert wrong.metrics["top1"] == 0.0


def test_a_paddleslim_config_is_a_recipe(model, samples):
    config = {
        "weight_quantize_type": "channel_wise_abs_max",
        "quantize_op_types": ["conv2d", "depthwise_conv2d"],
    }
    report = tinyint.quantize(model, samples, recipe=config, verify=False).report
    assert "fc" in {node.name for node in report.coverage.float_nodes}


def test_unreadable_images_are_skipped_and_counted_where_that_is_asked_for(model, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(12):
        Image.new("RGB", (16, 16), (20 * i, 255 - i, 9)).save(folder / f"{i:02}.png")
    for i in (2, 9):
        (folder / f"{i:02}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"cannot read the image .*02\.png"):
        tinyint.quantize(model, folder, samples=8)
    found = tinyint.quantize(model, folder, samples=8, on_error="skip")
    assert found.record.samples == 7
    calibration, proof = [note for note in found.report.notes if "skipped" in note]
    assert calibration.startswith(f"1 sample was skipped: cannot read the image {folder / '02.png'}")
    assert proof.startswith(f"in the proof, 1 sample was skipped: cannot read the image {folder / '09.png'}")
    assert found.report.verification.samples == 3  # 8, 10, 11: what calibrated is not used again
    told = []
    assert api.calibrate(model, folder, on_error="skip", notice=told.append).samples == 10
    assert told[-1].startswith("2 samples were skipped; the first: cannot read the image")
