"""`quantize` in Python, end to end on small networks."""

import json
import math
import sys

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image

import tinyint
from tinyint import api
from tinyint.data import Preprocessing
from tinyint.data.declared import saved_preprocessing
from tinyint.errors import DataError, ModelError, RecordError, TinyintError
from tinyint.graph.io import load_model
from tinyint.proof.prove import tensor_rows
from tinyint.quantization.calibration import CalibrationRecord

SHAPE = (3, 16, 16)


def test_quantize_writes_the_model_and_what_goes_with_it(model, samples, tmp_path):
    output = tmp_path / "net.int8.onnx"
    result = tinyint.quantize(
        model, tinyint.Samples(samples, limit=8), output=output, run=tinyint.Run(threads=1)
    )
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
    result = tinyint.quantize(load_model(model), samples, run=tinyint.Run(threads=1))
    assert result.path is None
    assert result.report.latency is not None
    assert [path.name for path in tmp_path.iterdir()] == ["float.onnx"]


def test_a_record_takes_the_place_of_data(model, samples, tmp_path):
    record = api.calibrate(model, tinyint.Samples(samples, limit=8))
    record.save(tmp_path / "record.npz")
    ours = tinyint.quantize(model, tinyint.Samples(samples, limit=8), run=tinyint.Run(verify=False))
    theirs = tinyint.quantize(model, calibration=tmp_path / "record.npz", run=tinyint.Run(verify=False))
    assert ir.to_proto(ours.model).SerializeToString() == ir.to_proto(theirs.model).SerializeToString()
    no_data = tinyint.quantize(
        model, calibration=record, target="openvino", run=tinyint.Run(threads=1)
    ).report
    assert any("no samples" in warning for warning in no_data.warnings)
    assert no_data.latency is not None


def test_a_record_of_another_model_is_refused(model, samples):
    with pytest.raises(RecordError, match="another model"):
        tinyint.quantize(model, calibration=CalibrationRecord("0" * 64))


def test_calibration_of_files_is_cached_and_in_memory_data_are_not(model, samples, tmp_path, monkeypatch):
    np.save(tmp_path / "calib.npy", samples)
    first = api.calibrate(model, tinyint.Samples(tmp_path / "calib.npy", limit=8))
    monkeypatch.setattr(sys.modules["tinyint.quantization.calibrated"], "calibrate", _broken)
    assert api.calibrate(model, tinyint.Samples(tmp_path / "calib.npy", limit=8)) == first
    for data, count in ((samples, 8), (tmp_path / "calib.npy", 7)):
        with pytest.raises(AssertionError, match="again"):
            api.calibrate(model, tinyint.Samples(data, limit=count))


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
        api.calibrate(model, data, run=tinyint.Run(progress=interrupt))

    def note(step: str, done: int, total: int | None) -> None:
        seen.append(done)

    resumed = api.calibrate(model, data, run=tinyint.Run(progress=note))
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
    made = tinyint.quantize(dead, tinyint.Samples(samples, limit=8), run=tinyint.Run(threads=1))
    report, int8 = made.report, made.model
    assert report.verification is not None
    assert report.coverage.macs_int8 == 1.0
    assert all(math.isfinite(bound) and bound > 0 for row in tensor_rows(int8) for bound in row.scale)


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
        model,
        tinyint.Samples(tmp_path / "images", limit=8, preprocessing=tmp_path / "pre.yaml"),
        output=output,
        run=tinyint.Run(threads=1),
    )
    assert result.report.verification is not None
    assert (result.report.verification.samples, result.report.verification.held_out) == (4, True)
    assert saved_preprocessing(load_model(output).metadata_props) == Preprocessing.load(tmp_path / "pre.yaml")
    declared = api.evaluate(model, tinyint.Samples(tmp_path / "images", preprocessing=tmp_path / "pre.yaml"))
    assert declared.samples == 12
    assert api.evaluate(output, tmp_path / "images").samples == 12  # with what its metadata say


def test_weight_only_needs_no_data_and_runs_at_the_models_own_speed(model, tmp_path):
    output = tmp_path / "small.onnx"
    report = tinyint.quantize(model, output=output, recipe="weight_only", run=tinyint.Run(threads=1)).report
    assert report.method == "weight_only"
    assert report.calibration_samples is None
    assert not (tmp_path / "small.calibration.npz").exists()
    session = tinyint.open(output, threads=1)
    assert session.run({"x": np.zeros((1, *SHAPE), np.float32)})["y"].shape == (1, 10)


@pytest.mark.parametrize("option", [{"batch_size": 4}, {"provider": "cuda"}])
def test_an_option_of_calibration_where_nothing_is_calibrated_is_an_error(model, samples, tmp_path, option):
    ((name, value),) = option.items()
    run = tinyint.Run(**option)
    told = rf"--{name.replace('_', '-')} {value} .* has no effect: "
    for recipe in ("dynamic", "weight_only"):
        with pytest.raises(TinyintError, match=f"{told}the method {recipe} calibrates nothing"):
            tinyint.quantize(model, samples, output=tmp_path / "out.onnx", recipe=recipe, run=run)
    record = api.calibrate(model, samples)
    with pytest.raises(TinyintError, match=f"{told}the ranges are those of the record"):
        tinyint.quantize(model, calibration=record, run=run)
    assert not (tmp_path / "out.onnx").exists()


def test_static_without_data_says_what_to_do(model):
    with pytest.raises(DataError, match="--calibration"):
        tinyint.quantize(model)


def test_preprocessing_is_kept_in_the_model(model, samples):
    declared = Preprocessing(resize=16, crop=(16, 16), mean=(0.5,), std=(0.25,))
    source = load_model(model)
    source.metadata_props.update(declared.to_metadata())
    made = tinyint.quantize(source, samples, run=tinyint.Run(verify=False)).model
    assert saved_preprocessing(made.metadata_props) == declared


def test_a_torch_module_without_example_inputs_is_refused_with_the_way_out():
    torch = pytest.importorskip("torch")
    with pytest.raises(ModelError, match=r"give tinyint.load\(module, example_inputs\)"):
        tinyint.quantize(torch.nn.Linear(2, 2))


def test_a_paddleslim_config_is_a_recipe(model, samples):
    config = {
        "weight_quantize_type": "channel_wise_abs_max",
        "quantize_op_types": ["conv2d", "depthwise_conv2d"],
    }
    report = tinyint.quantize(model, samples, recipe=config, run=tinyint.Run(verify=False)).report
    assert "fc" in {node.name for node in report.coverage.float_nodes}


def test_unreadable_images_are_skipped_and_counted_where_that_is_asked_for(model, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(12):
        Image.new("RGB", (16, 16), (20 * i, 255 - i, 9)).save(folder / f"{i:02}.png")
    for i in (2, 9):
        (folder / f"{i:02}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"cannot read the image .*02\.png"):
        tinyint.quantize(model, tinyint.Samples(folder, limit=8))
    found = tinyint.quantize(model, tinyint.Samples(folder, limit=8, on_error="skip"))
    assert found.record.samples == 7
    calibration, proof = [note for note in found.report.notes if "skipped" in note]
    assert calibration.startswith(f"1 sample was skipped: cannot read the image {folder / '02.png'}")
    assert proof.startswith(f"in the proof, 1 sample was skipped: cannot read the image {folder / '09.png'}")
    assert found.report.verification.samples == 3  # 8, 10, 11: what calibrated is not used again
    told = []
    assert (
        api.calibrate(
            model, tinyint.Samples(folder, on_error="skip"), run=tinyint.Run(notice=told.append)
        ).samples
        == 10
    )
    assert told[-1].startswith("2 samples were skipped; the first: cannot read the image")
