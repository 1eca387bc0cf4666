"""`tinyint preprocess`, and its file as the data of every command."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.models import residual
from tests.tasks import build as tasks
from tinyint.data.images import ImageFile, ImageSource
from tinyint.graph.io import save_model
from tinyint.metadata import PREPROCESSING
from tinyint.quantization.calibration import CalibrationRecord

Document = Callable[..., Any]
YAML = "{resize: 20, crop: 16, mean: [0.5, 0.4, 0.3], std: 0.25}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """float.onnx for images of 16×16; images/ with val_list.txt, of four classes; p.yaml."""
    monkeypatch.chdir(tmp_path)
    save_model(residual(), "float.onnx")
    rng = np.random.default_rng(0)
    Path("images/val").mkdir(parents=True)
    for i in range(12):
        noise = rng.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8)
        Image.fromarray(noise).save(f"images/val/{i}.png")
    Path("images/val_list.txt").write_text("".join(f"val/{i}.png {i % 4}\n" for i in range(12)))
    Path("p.yaml").write_text(YAML)
    return tmp_path


MAKE = ("preprocess", "--data-dir", "images", "--list", "val_list.txt", "-o", "d.bin")


def test_in_json_and_words(document: Document, run: Document):
    found = document(*MAKE, "--preprocessing", "p.yaml", "--workers", "2")
    assert found["output"] == "d.bin"
    assert (found["samples"], found["dtype"], found["shape"]) == (12, "uint8", [16, 16, 3])
    assert (found["labels"], found["classes"], found["resumed"], found["skipped"]) == (
        "class numbers",
        None,
        0,
        0,
    )
    assert found["size_bytes"] == os.path.getsize("d.bin")
    assert found["preprocessing"]["crop"] == [16, 16]
    assert found["notices"] == []
    told = run(
        *MAKE, "--preprocessing", "p.yaml", "--dtype", "float32", "--samples", "5", "--skip", "2"
    ).stdout
    assert told == "d.bin: 5 samples of float32 3×16×16, 0.0 MiB, labelled with class numbers\n"


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_same_record_and_figures_as_from_the_images(document: Document, dtype: str):
    declared = ("--preprocessing", "p.yaml")
    document(*MAKE, *declared, "--dtype", dtype)
    documents = []
    for data, record in (("images", "a.npz"), ("d.bin", "b.npz")):
        document("calibrate", "float.onnx", "--data", data, "-o", record, *declared)
        documents.append(document("evaluate", "float.onnx", "--data", data, *declared)["metrics"])
    assert CalibrationRecord.load("a.npz") == CalibrationRecord.load("b.npz")
    assert documents[0] == documents[1]


def test_the_declaration_travels_with_the_file_into_the_model(document: Document):
    document(*MAKE, "--preprocessing", "p.yaml")
    for data, output in (("images", "a.onnx"), ("d.bin", "b.onnx")):
        declared = ("--preprocessing", "p.yaml") if data == "images" else ()
        document(
            "quantize", "float.onnx", "-o", output, "--data", data, "--samples", "8", "--no-verify", *declared
        )
    a, b = Path("a.onnx").read_bytes(), Path("b.onnx").read_bytes()
    assert PREPROCESSING.encode() in a
    assert a == b
    for command in (("evaluate", "b.onnx"), ("compare", "float.onnx", "b.onnx")):
        assert document(*command, "--data", "d.bin") == document(*command, "--data", "d.bin")
    # What the model declares now is what the file was made with; another file is not its own.
    Path("p.yaml").write_text(YAML.replace("20", "24"))
    document(*MAKE, "--preprocessing", "p.yaml")
    told = document("evaluate", "b.onnx", "--data", "d.bin", code=2)["error"]
    assert "d.bin was made with resize: 24, but resize: 20 is declared for this model" in told
    document(*MAKE, "--model", "b.onnx")  # takes it from there
    document("evaluate", "b.onnx", "--data", "d.bin")


def test_the_size_is_the_models_or_a_given_one(document: Document):
    assert document(*MAKE, "--model", "float.onnx")["shape"] == [16, 16, 3]
    assert "no preprocessing was declared" in document(*MAKE, "--size", "8x12")["notices"][0]
    assert document(*MAKE, "--size", "8x12")["shape"] == [8, 12, 3]
    found = document(*MAKE, "--size", "32", "--preprocessing", "p.yaml")["preprocessing"]
    assert (found["resize"], found["crop"]) == (40, [32, 32])


def test_predictions_have_the_same_pictures(document: Document):
    tasks.saved(tasks.classifier(), Path("classifier.onnx"))
    Path("p.yaml").write_text("{resize: 80, crop: 64}\n")
    document(*MAKE, "--preprocessing", "p.yaml")
    for data, output in (("images", "a"), ("d.bin", "b")):
        declared = ("--preprocessing", "p.yaml")
        found = document("predict", "classifier.onnx", "--input", data, "-o", output, *declared)
        assert found["pictures"] == 12
    a, b = ({p.relative_to(f): p.read_bytes() for p in Path(f).rglob("*.*")} for f in "ab")
    assert len(a) == 13
    assert a == b


def test_predictions_of_values_have_no_pictures(document: Document):
    tasks.saved(tasks.classifier(), Path("classifier.onnx"))
    document(*MAKE, "--model", "classifier.onnx", "--dtype", "float32")
    assert document("predict", "classifier.onnx", "--input", "d.bin", "-o", "out")["pictures"] == 0
    assert json.loads(Path("out/predictions.json").read_text())[3]["file_name"] == "val/3.png"


def not_ours() -> None:
    Path("d.bin").write_bytes(b"precious")


def a_text() -> None:
    Path("images/val/5.png").write_text("no image")


def a_tokenizer() -> None:
    Path("vocab.txt").write_text("[PAD]\n")
    Path("p.yaml").write_text("{tokenizer: vocab.txt}\n")


def nothing() -> None: ...


DECLARED = ("--preprocessing", "p.yaml")


@pytest.mark.parametrize(
    ("spoil", "arguments", "told"),
    [
        (nothing, MAKE, "give --preprocessing FILE, --model MODEL or --size"),
        (not_ours, (*MAKE, *DECLARED), "cannot write 'd.bin': a file is there"),
        (a_text, (*MAKE, *DECLARED), "cannot read the image images/val/5.png"),
        (a_tokenizer, (*MAKE, *DECLARED), "declares a tokenizer"),
        (nothing, (*MAKE, "--size", "big"), "--size 'big': expected a number of pixels"),
        (nothing, (*MAKE, "--size", "40", *DECLARED, "--model", "float.onnx"), "16, 16"),
        (nothing, (*MAKE, "--model", "gone.onnx"), "gone.onnx"),
        (nothing, (*MAKE, *DECLARED, "--model-filename", "x"), "not its directory: give --model"),
        (nothing, (*MAKE, *DECLARED, "--skip", "12"), "none is left after the first 12"),
        (nothing, (*MAKE[:-1], "no/d.bin", *DECLARED), "the directory 'no' does not exist"),
        (nothing, (*MAKE[:-1], "p.yaml", *DECLARED), "it is the file that is read"),
        (nothing, (*MAKE[:-1], "images/val_list.txt", *DECLARED), "it is the file that is read"),
        (nothing, (*MAKE[:-1], "images", *DECLARED), "it is not a regular file"),
        (nothing, ("preprocess", "--data", "gone", "-o", "d.bin", *DECLARED), "gone"),
        (nothing, ("preprocess", "--data", "float.onnx", "-o", "d.bin", *DECLARED), "no kind of data"),
    ],
)
def test_bad_input_is_one_clear_error(run: Document, spoil: Any, arguments: Any, told: str):
    spoil()
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert told in errors[0]
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_an_interrupted_run_is_gone_on_with(
    document: Document, run: Document, monkeypatch: pytest.MonkeyPatch
):
    document(*MAKE, *DECLARED)
    whole = Path("d.bin").read_bytes()
    read = ImageSource.picture

    def interrupt(self: ImageSource, file: ImageFile) -> Any:
        if file.name == "val/7.png":
            raise KeyboardInterrupt
        return read(self, file)

    with monkeypatch.context() as patch:
        patch.setattr(ImageSource, "picture", interrupt)
        result = run(*MAKE[:-1], "again.bin", *DECLARED, "--workers", "1")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1].endswith("the same command goes on with it")
    assert not Path("again.bin").exists()
    assert "7 of them from an interrupted run" in run(*MAKE[:-1], "again.bin", *DECLARED).stdout
    assert Path("again.bin").read_bytes() == whole


def test_only_image_files(document: Document):
    np.save("a.npy", np.zeros((4, 3, 16, 16), np.float32))
    told = document("preprocess", "--data", "a.npy", "-o", "d.bin", "--size", "16", code=2)["error"]
    assert told == "a.npy holds no image files; only these need a data file"


def test_a_bad_image_can_be_skipped(document: Document):
    a_text()
    found = document(*MAKE, *DECLARED, "--on-error", "skip")
    assert (found["samples"], found["skipped"]) == (11, 1)
    assert "1 sample was skipped: cannot read the image images/val/5.png" in found["notices"][0]


@pytest.mark.parametrize("command", ["quantize", "calibrate"])
def test_a_file_for_another_model(document: Document, command: str):
    document(*MAKE, "--size", "8")
    told = document(command, "float.onnx", "-o", "out", "--data", "d.bin", code=2)["error"]
    assert "d.bin holds images of [3, 8, 8] (NCHW without N), but input 'x' is float32" in told
    assert not Path("out").exists()


def test_labels_of_other_tasks(document: Document):
    tasks.saved(tasks.segmenter(), Path("segmenter.onnx"))
    document(*MAKE, "--model", "segmenter.onnx")
    told = document("evaluate", "segmenter.onnx", "--data", "d.bin", code=2)["error"]
    assert "d.bin is labelled with class numbers" in told
