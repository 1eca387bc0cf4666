"""Int8 models that take pixels, end to end: on the runtimes, by the verbs that read data, and refusals."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image
from typer.testing import CliRunner

import tinyint
from tests.graph.build import build
from tests.models import image_classifier
from tests.processor import OPENVINO_TARGET, ORT_TARGET
from tinyint.cli.app import app
from tinyint.data.declared import saved_preprocessing
from tinyint.errors import DataError, RecipeError
from tinyint.graph.io import load_model, save_model
from tinyint.metadata import FOLDED
from tinyint.numbers.numerics import sqnr_db
from tinyint.quantization import qdq
from tinyint.runtimes import get_runtime

DECLARED = {"resize": [18, 18], "crop": 16, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
LITE = {"resize": [16, 16], "scale": 1.0, "mean": 127.0, "std": 128.0}
FOLDING = {"fold_preprocessing": True}
QUIET = tinyint.Run(threads=1, verify=False)
openvino = pytest.param(
    "openvino", marks=pytest.mark.skipif(find_spec("openvino") is None, reason="needs OpenVINO")
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """float.onnx, images/CLASS/ of smooth noise, and p.yaml."""
    monkeypatch.chdir(tmp_path)
    save_model(image_classifier(), "float.onnx")
    rng = np.random.default_rng(2)
    for i in range(20):
        place = Path("images") / f"class{i % 5}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        coarse.resize((30, 25), Image.Resampling.BICUBIC).save(place / f"{i}.png")
    Path("p.yaml").write_text(json.dumps(DECLARED))
    return tmp_path


def quantized(declared: dict[str, object], target: str, recipe: object = FOLDING) -> ir.Model:
    samples = tinyint.Samples("images", limit=8, preprocessing=declared)
    return tinyint.quantize("float.onnx", samples, recipe=recipe, target=target, run=QUIET).model


def outputs(model: ir.Model, declared: dict[str, object] | None, runtime: str, **options: bool) -> np.ndarray:
    session = get_runtime(runtime).open(model, threads=1, **options)
    samples = tinyint.Samples("images", preprocessing=declared).open(session.inputs, model.metadata_props)
    return np.concatenate([session.run(sample.inputs)["logits"] for sample in samples])


@pytest.mark.parametrize("declared", [DECLARED, LITE], ids=["imagenet", "lite"])
@pytest.mark.parametrize("target", [ORT_TARGET, openvino, "arm64", "tensorrt"])
@pytest.mark.usefixtures("here")
def test_as_close_to_float_as_with_preprocessing_outside(declared: dict[str, object], target: str):
    exact = outputs(load_model("float.onnx"), declared, "onnxruntime")
    plain, folded = quantized(declared, target, "default"), quantized(declared, target)
    before = sqnr_db(exact, outputs(plain, declared, "onnxruntime", optimize=False))
    assert sqnr_db(exact, outputs(folded, None, "onnxruntime", optimize=False)) > before - 2 > 20


@pytest.mark.parametrize("declared", [DECLARED, LITE], ids=["imagenet", "lite"])
@pytest.mark.parametrize(
    ("target", "runtime"),
    [(ORT_TARGET, "onnxruntime"), pytest.param(OPENVINO_TARGET, "openvino", marks=openvino.marks)],
)
@pytest.mark.usefixtures("here")
def test_the_first_convolution_runs_as_simulated(declared: dict[str, object], target: str, runtime: str):
    """Within 1 LSB, and no further from float at the borders than inside."""
    text = """g (float[N,3,16,16] image) => (float[N,8,16,16] logits) {
      a = Conv <pads = [1, 1, 1, 1]> (image, w, b)  c = Relu (a)  logits = Conv (c, v)
    }"""
    same = np.eye(8, dtype=np.float32).reshape(
        8, 8, 1, 1
    )  # without a quantizer, OpenVINO runs nothing in int8
    save_model(build(text, w=(8, 3, 3, 3), b=(8,), v=same), "float.onnx")
    exact = outputs(load_model("float.onnx"), declared, "onnxruntime")
    model = quantized(declared, target)
    simulated = outputs(model, None, "onnxruntime", optimize=False)
    lsb = exact.max() / 255
    assert np.abs(outputs(model, None, runtime) - simulated).max() <= 1.01 * lsb
    errors = np.where(exact < 250 * lsb, np.abs(simulated - exact), 0)  # calibration may cut the largest
    assert errors.max() < 3 * lsb
    assert errors[..., 0, :].max() <= 1.5 * errors[..., 1:-1, 1:-1].max()
    assert all(
        row.int8 for row in get_runtime(runtime).executed(model) if row.op.endswith(("Conv", "Convolution"))
    )


@pytest.mark.usefixtures("here")
def test_the_pixels_are_the_codes():
    """No quantizer stands between them and the first convolution."""
    model = quantized(LITE, "x86-vnni")
    assert "image" not in {tensor.name for tensor in qdq.read(model)}
    assert [node.op_type for node in model.graph][:2] == ["DequantizeLinear", "Transpose"]


@pytest.mark.parametrize("recipe", ["weight_only", "dynamic"])
@pytest.mark.usefixtures("here")
def test_weights_alone(recipe: str):
    model = quantized(
        DECLARED, "x86-vnni", tinyint.Recipe.load(recipe).with_settings(["fold_preprocessing=true"])
    )
    exact = outputs(load_model("float.onnx"), DECLARED, "onnxruntime")
    assert sqnr_db(exact, outputs(model, None, "onnxruntime")) > 30


@pytest.mark.usefixtures("here")
def test_biases_are_corrected_for_pixels():
    recipe = FOLDING | {"steps": ["correct_bias"]}
    exact = outputs(load_model("float.onnx"), DECLARED, "onnxruntime")
    assert sqnr_db(exact, outputs(quantized(DECLARED, "x86-vnni", recipe), None, "onnxruntime")) > 25


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.usefixtures("here")
def test_every_verb_feeds_pixels():
    """From images and from a data file, without a word on their preprocessing."""
    declared = ("--preprocessing", "p.yaml", "--target", ORT_TARGET)
    told = run(
        "quantize",
        "float.onnx",
        "-o",
        "int8.onnx",
        "--data",
        "images",
        "--samples",
        "8",
        "--fold-preprocessing",
        *declared,
    )
    assert "it takes pixels, uint8 [N, H, W, C] in RGB" in " ".join(told.split())
    report = json.loads(Path("int8.report.json").read_text())
    assert report["verification"]["samples"] == 12
    metadata = load_model("int8.onnx").metadata_props
    left = saved_preprocessing(metadata)
    assert left is not None
    assert (left.size(), left.layout, left.scale, left.mean, left.std) == (
        (16, 16),
        "NHWC",
        1.0,
        (0.0,),
        (1.0,),
    )
    assert "0.485" in metadata[FOLDED]

    run("preprocess", "--data-dir", "images", "--model", "int8.onnx", "-o", "pixels.bin")
    run("preprocess", "--data-dir", "images", "--preprocessing", "p.yaml", "-o", "float.bin")
    scores = {
        run("evaluate", "int8.onnx", "--data", data, "--task", "classification", "--json")
        for data in ("images", "pixels.bin", "float.bin")
    }
    assert len({json.loads(score)["metrics"]["top1"] for score in scores}) == 1
    first = sorted(Path("images").rglob("*.png"))[0]
    run("predict", "int8.onnx", "--input", str(first), "-o", "predicted")
    compared = json.loads(run("compare", "float.onnx", "int8.onnx", "--data", "images", "--json"))
    assert not compared["unmatched"]
    run("bench", "int8.onnx", "--data", "pixels.bin", "--iterations", "3", "--with-accuracy")


@pytest.mark.usefixtures("here")
def test_arrays_that_were_preprocessed_go_back_to_pixels():
    declared = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3))
    arrays = ((pixels / 255 - declared["mean"]) / declared["std"]).transpose(0, 3, 1, 2).astype(np.float32)
    run_ = tinyint.Run(threads=1)
    result = tinyint.quantize(
        "float.onnx", tinyint.Samples(arrays, limit=8, preprocessing=declared), recipe=FOLDING, run=run_
    )
    assert result.report.verification is not None
    with pytest.raises(DataError, match="of no pixel"):
        tinyint.quantize(
            "float.onnx", tinyint.Samples(arrays * 1.01, preprocessing=declared), recipe=FOLDING, run=run_
        )


def test_gram_matrices_of_preprocessed_images_are_of_no_use():
    with pytest.raises(RecipeError, match="gives the first of them pixels after it"):
        tinyint.Recipe.parse(FOLDING | {"steps": ["gptq"]})


@pytest.mark.parametrize(
    ("changes", "words", "told"),
    [
        ({}, (), "none is declared"),
        ({"color": "GRAY"}, ("--preprocessing", "p.yaml"), "change layout, color"),
    ],
)
def test_refusals_write_nothing(here: Path, changes: dict[str, object], words: tuple[str, ...], told: str):
    Path("p.yaml").write_text(
        json.dumps({key: value for key, value in DECLARED.items() if key not in ("mean", "std")} | changes)
    )
    output = run(
        "quantize",
        "float.onnx",
        "-o",
        "int8.onnx",
        "--data",
        "images",
        "--fold-preprocessing",
        *words,
        code=2,
    )
    assert told in " ".join(output.split())
    assert {path.name for path in here.iterdir()} == {"float.onnx", "images", "p.yaml"}


@pytest.mark.usefixtures("here")
def test_a_folded_model_is_not_folded_again():
    save_model(quantized(DECLARED, "x86-vnni"), "int8.onnx")
    output = run(
        "quantize", "int8.onnx", "-o", "again.onnx", "--data", "images", "--fold-preprocessing", code=2
    )
    assert "is quantized already" in " ".join(output.split())
