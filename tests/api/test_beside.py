"""Files that a run writes, replaces and leaves."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinyint
from tinyint import api
from tinyint.errors import OutputError
from tinyint.graph.io import load_model, save_model
from tinyint.quantization.calibration import CalibrationRecord


def test_a_failure_leaves_the_old_files(model, samples, tmp_path, monkeypatch):
    output = tmp_path / "net.onnx"
    output.write_bytes(b"old")
    (tmp_path / "net.report.html").write_bytes(b'<meta name="generator" content="tinyint">old')
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["tinyint.proof.prove"], "verify", interrupt)
    with pytest.raises(KeyboardInterrupt):
        tinyint.quantize(model, samples, output=output, run=tinyint.Run(threads=1))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_place_beside_the_model_that_cannot_be_written_leaves_all_as_it_was(model, samples, tmp_path):
    output = tmp_path / "net.onnx"
    output.write_bytes(b"old")
    (tmp_path / "net.report.json").mkdir()
    with pytest.raises(OutputError, match=r"net\.report\.json.*net\.onnx"):
        tinyint.quantize(model, samples, output=output, run=tinyint.Run(verify=False))
    assert output.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"float.onnx", "net.onnx", "net.report.json"}


def files_in(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.iterdir()}


def test_the_users_files_beside_the_output_stay(model, samples, tmp_path):
    """Those that are read, and those that only have the name of what would be written."""
    made = api.calibrate(model, tinyint.Samples(samples, limit=5))
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
            tinyint.quantize(
                model,
                tinyint.Samples(data, limit=4),
                output=tmp_path / f"{name}.onnx",
                run=tinyint.Run(verify=False),
            )
    assert files_in(tmp_path) == before
    tinyint.quantize(
        model, output=tmp_path / "a.onnx", recipe="weight_only", run=tinyint.Run(verify=False)
    )  # needs no record
    assert files_in(tmp_path)["a.calibration.npz"] == before["a.calibration.npz"]


def test_a_run_replaces_what_an_earlier_one_left(model, samples, tmp_path):
    output, record = tmp_path / "net.onnx", tmp_path / "net.calibration.npz"
    for count in (4, 6):
        tinyint.quantize(
            model, tinyint.Samples(samples, limit=count), output=output, run=tinyint.Run(verify=False)
        )
        assert CalibrationRecord.load(record).samples == count
    before = record.read_bytes()
    # The record beside the model is given, and stays; with new settings, the rest is new.
    again = tinyint.quantize(
        model,
        output=output,
        calibration=record,
        recipe=tinyint.Recipe.load("default").with_settings(["calibration=percentile"]),
        run=tinyint.Run(verify=False),
    )
    assert again.record == CalibrationRecord.load(record)
    assert record.read_bytes() == before
    assert "percentile" in (tmp_path / "net.report.json").read_text()
    tinyint.quantize(model, tinyint.Samples(samples, limit=5), output=output, run=tinyint.Run(verify=False))
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
