"""Each command does its work, and says it in words and as one JSON document."""

import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

import tinyint
from tests.processor import ORT_TARGET
from tinyint.graph.io import is_quantized, load_model
from tinyint.proof.choice import Choice
from tinyint.proof.choices import Choices
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.targets import get_target


def test_quantize(here, document):
    found = document(
        "quantize", "float.onnx", "-o", "int8.onnx", "--data", "calib.npy", "--samples", "8", "--threads", "1"
    )
    assert found["output"] == "int8.onnx"
    assert found["method"] == "static"
    assert found["recipe"] == "default"
    assert found["coverage"]["macs_int8"] == 1.0
    assert found["verification"]["samples"] == 4
    assert found["held_out"] is True
    assert set(found["latency_ms"]) == set(found["size_bytes"]) == {"float", "int8"}
    assert is_quantized(load_model("int8.onnx"))


def test_quantize_in_words(here, run):
    result = run("quantize", "float.onnx", "-o", "int8.onnx", "--data", "calib.npy", "--threads", "1")
    assert result.exit_code == 0
    for text in (
        "latency, median",
        "multiply-adds in int8",
        "warning: the outputs were compared on the calibration",
    ):
        assert text in result.stdout


@pytest.mark.parametrize(("scale", "code"), [(1.0, 0), (100.0, 3)])
def test_strict_ends_with_a_code_of_its_own_where_the_verdict_is_bad(
    here, document, monkeypatch, scale, code
):
    verdicts = sys.modules["tinyint.proof.report"]
    judge = verdicts.judge  # type: ignore[attr-defined]
    size_and_speed = {"size": "smaller", "speed": "same"}  # of a model this small, they are worse
    monkeypatch.setattr(verdicts, "judge", lambda *figures: replace(judge(*figures), **size_and_speed))
    samples = np.load("calib.npy")
    samples[8:] *= scale  # held-out samples far beyond what calibration has seen
    np.save("calib.npy", samples)
    common = (
        "quantize",
        "float.onnx",
        "--data",
        "calib.npy",
        "--samples",
        "8",
        "--threads",
        "1",
        "--target",
        ORT_TARGET,
    )
    found = document(*common, "-o", "strict.onnx", "--strict", code=code)
    assert (found["verdict"]["accuracy"] == "good") == (code == 0)
    assert is_quantized(load_model("strict.onnx"))
    document(*common, "-o", "lenient.onnx")


def test_quantize_takes_settings_targets_and_no_verify(here, document):
    found = document(
        "quantize", "float.onnx", "-o", "o.onnx", "--data", "calib.npy", "--no-verify", "--target", "generic",
        "--set", "calibration=kl", "--set", "skip=[fc, conv3]",
    )  # fmt: skip
    assert found["target"] == "generic"
    assert found["verification"] is None
    assert yaml.safe_load(found["recipe_yaml"])["calibration"] == "kl"
    assert {"fc", "conv3"} <= {node["name"] for node in found["float_nodes"]}


def test_calibrate_then_quantize_without_data(here, document):
    made = document("calibrate", "float.onnx", "--data", "calib.npy", "-o", "record.npz", "--samples", "8")
    assert made["samples"] == 8
    assert made["tensors"] == len(CalibrationRecord.load("record.npz").summaries)
    for target in ("openvino", "tensorrt"):
        arguments = ("quantize", "float.onnx", "-o", f"{target}.onnx", "--calibration", "record.npz")
        found = document(*arguments, "--target", target, "--no-verify")["target"]
        assert found == get_target(target).name


def test_calibrate_on_all_samples_in_batches(here, document):
    options = ("--data", "calib.npy", "--samples", "all", "--batch-size", "5", "-o", "record.npz")
    assert document("calibrate", "float.onnx", *options)["samples"] == len(np.load("calib.npy"))


@pytest.mark.parametrize("samples", ["0", "-1", "most", "1.5"])
def test_samples_are_a_number_or_all(here, run, samples):
    result = run("calibrate", "float.onnx", "--data", "calib.npy", "-o", "r.npz", f"--samples={samples}")
    assert result.exit_code == 2
    assert "whole number from 1" in " ".join(result.stderr.replace("│", " ").split())


def test_evaluate_and_compare(here, document, run):
    samples = np.load("calib.npy")
    best = tinyint.open("float.onnx").run({"x": samples})["y"].argmax(axis=1)
    np.savez("labelled.npz", x=samples, label=best)
    found = document("evaluate", "float.onnx", "--data", "labelled.npz", "--batch-size", "4")
    assert found["metrics"] == {"top1": 1.0, "top5": 1.0, "f1": 1.0, "f1_positive": None}
    assert found["samples"] == 12
    run("quantize", "float.onnx", "-o", "int8.onnx", "--data", "calib.npy", "--no-verify")
    compared = document("compare", "float.onnx", "int8.onnx", "--data", "calib.npy")
    levels = [row["cumulative_db"] for row in compared["tensors"] if row["kind"] == "activation"]
    assert compared["samples"] == 12
    assert len(levels) >= 4
    shown = run("compare", "float.onnx", "int8.onnx", "--data", "calib.npy", "--top", "3")
    assert "the 3 worst of" in shown.stdout


def test_inspect_before_and_after(here, document, run):
    before = document("inspect", "float.onnx")
    assert before["quantized"] is False
    assert {plan["target"]: plan["macs_int8"] for plan in before["plans"]}["x86-vnni"] == 1.0
    run(
        "quantize",
        "float.onnx",
        "-o",
        "int8.onnx",
        "--data",
        "calib.npy",
        "--no-verify",
        "--target",
        "x86-vnni",
    )
    after = document("inspect", "int8.onnx")
    assert (after["quantized"], after["target"]) == (True, "x86-vnni")
    assert after["nodes_int8"] >= 5
    assert "quantized tensors" in run("inspect", "int8.onnx").stdout
    assert "what quantizing would do" in run("inspect", "float.onnx").stdout


def test_bench(here, document, run):
    options = ("--threads", "1", "--iterations", "3", "--warmup", "1")
    found = document(
        "bench", "float.onnx", "float.onnx", "--runtime", "onnxruntime", "--batch-size", "2", *options
    )
    keys = {
        "model",
        "runtime",
        "threads",
        "batch_size",
        "median_ms",
        "p90_ms",
        "min_ms",
        "images_per_second",
        "precision",
    }
    assert [row.keys() >= keys for row in found["results"]] == [True, True]
    assert found["results"][0]["batch_size"] == 2
    assert "images/s" in run("bench", "float.onnx", *options).stdout


def test_doctor(document, run):
    found = document("doctor")
    assert found["runtimes"]["onnxruntime"]
    assert found["default_target"] in ("x86-vnni", "x86-avx2", "arm64", "generic")
    assert found["choices_directory"] == str(Path(found["cache_directory"]) / "choices")
    assert found["remembered_choices"] == 0
    assert "expected gain" in run("doctor").stdout


def test_advise_sees_labels_and_names_the_data(here, document, run):
    assert document("advise", "float.onnx", "--wants", "size")["method"] == "weight_only"
    found = document("advise", "float.onnx", "--data", "calib.npy")
    assert found["method"] == "static"
    assert all("--data calib.npy" in command for command in found["commands"][:2])
    assert not any("evaluate" in command for command in found["commands"])
    np.savez("labelled.npz", x=np.load("calib.npy"), label=np.arange(12) % 10)
    assert "tinyint evaluate" in run("advise", "float.onnx", "--data", "labelled.npz").stdout


def test_the_commands_that_advise_gives_run(here, document, run):
    calibration = np.load("calib.npy")
    many = np.tile(calibration, (12, *[1] * (calibration.ndim - 1)))
    np.savez("labelled.npz", x=many, label=np.arange(144) % 10)
    found = document("advise", "float.onnx", "--data", "labelled.npz", "--minutes", "0.1")
    assert found["commands"][1].endswith("--data labelled.npz --skip 128 --against float.onnx")
    for command in found["commands"]:
        result = run(*shlex.split(command)[1:])
        assert result.exit_code == 0, (command, result.output)


def test_cache_is_shown_and_cleared(here, document):
    document("calibrate", "float.onnx", "--data", "calib.npy", "-o", "record.npz")
    records = document("cache")["bytes"]
    assert records > 0
    Choices().store("0" * 64, Choice(runtime="openvino"))
    assert document("cache")["bytes"] > records
    assert document("doctor")["remembered_choices"] == 1
    cleared = document("cache", "--clear")
    assert (cleared["removed_files"], cleared["bytes"]) == (2, 0)


def test_the_fastest_runtime_is_measured_remembered_and_said(here, document):
    options = ("--runtime", "auto", "--runtime", "onnxruntime", "--threads", "1", "--iterations", "2")
    found = document("bench", "float.onnx", *options)
    first, second = found["results"]
    (notice,) = found["notices"]
    assert notice.startswith(f"float.onnx runs on {first['runtime']}: ")
    assert second["runtime"] == "onnxruntime"
    assert document("doctor")["remembered_choices"] == 1
    assert document("bench", "float.onnx", *options)["notices"] == [notice]
    assert "'auto'" in document("inspect", "float.onnx", "--runtime", "auto", code=2)["error"]


def test_recipes_are_shown_and_read_back(here, document, run):
    assert {recipe["name"] for recipe in document("recipe", "show")["recipes"]} >= {
        "default",
        "accurate",
        "weight_only",
    }
    shown = run("recipe", "show", "fast", "--set", "skip=[Softmax]")
    (here / "mine.yaml").write_text(shown.stdout)
    assert document("recipe", "show", "mine.yaml")["skip"] == ["Softmax"]


def test_a_paddleslim_config_is_converted_or_read_as_it_is(here, document, run):
    (here / "slim.yaml").write_text(
        "weight_quantize_type: channel_wise_abs_max\nquantize_op_types: [conv2d]\nalgo: KL\n"
    )
    converted = run("recipe", "from-paddleslim", "slim.yaml")
    assert yaml.safe_load(converted.stdout)["calibration"] == "kl"
    found = document(
        "quantize",
        "float.onnx",
        "-o",
        "o.onnx",
        "--data",
        "calib.npy",
        "--recipe",
        "slim.yaml",
        "--no-verify",
    )
    assert yaml.safe_load(found["recipe_yaml"])["calibration"] == "kl"


def test_the_zoo_is_listed(document):
    pytest.importorskip("torch")
    assert {"mobilenet_v1", "resnet50"} <= {
        network["name"] for network in document("zoo", "list")["networks"]
    }


def test_the_demo_does_the_main_job(tmp_path, document):
    found = document("demo", "-o", tmp_path / "demo", "--threads", "1")
    assert found["accuracy"]["int8"]["top1"] > found["accuracy"]["float"]["top1"] - 0.02
    assert found["held_out"] is True
    assert (tmp_path / "demo" / "digits.int8.report.html").exists()


def test_the_demo_needs_no_extras(tmp_path):
    code = f"""
import sys
from typer.testing import CliRunner
from tinyint.cli.app import app
result = CliRunner().invoke(app, ["demo", "-o", {str(tmp_path)!r}, "--threads", "1"])
print(result.exit_code, [name for name in ("torch", "openvino", "sklearn", "onnxscript") if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "0 []"
