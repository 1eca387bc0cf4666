"""Models that resize images themselves: what every verb makes of one, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import tinyint
from tests.models import image_classifier
from tests.processor import ORT_TARGET
from tinyint import api
from tinyint.api.resizing import require_resizable, resizes_images
from tinyint.api.side_by_side import SideBySide
from tinyint.api.subject import Subject
from tinyint.cli.app import app
from tinyint.data import Preprocessing
from tinyint.data.declared import saved_preprocessing
from tinyint.errors import DataError, ModelError
from tinyint.graph.io import load_model, save_model
from tinyint.metadata import FOLDED
from tinyint.quantization.pixels import PixelSession
from tinyint.runtimes import get_runtime
from tinyint.tasks.segmentation import Segmentation

DECLARED = Preprocessing(
    resize=18, crop=(16, 16), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), color="BGR"
)
QUIET = tinyint.Run(threads=1, notice=lambda _: None)
ONCE = tinyint.Run(threads=1, verify=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """float.onnx, int8.onnx, p.yaml, and images/CLASS/ of several sizes, of which the last is the first again."""
    root = tmp_path_factory.mktemp("resizing")
    save_model(image_classifier(), root / "float.onnx")
    (root / "p.yaml").write_text(DECLARED.dump())
    rng = np.random.default_rng(2)
    for i in range(20):
        place = root / "images" / f"class{i // 4}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        coarse.resize((24 + i, 45 - i), Image.Resampling.BICUBIC).save(place / f"{i:02}.png")
    shutil.copy(root / "images/class0/00.png", root / "images/class4/99.png")
    tinyint.quantize(
        root / "float.onnx",
        tinyint.Samples(root / "images", limit=8, preprocessing=DECLARED),
        output=root / "int8.onnx",
        recipe={"fold_preprocessing": "resize"},
        target=ORT_TARGET,
        run=QUIET,
    )
    return root


@pytest.fixture
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return made


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.mark.usefixtures("here")
def test_it_takes_images_of_any_size_and_says_so():
    model = load_model("int8.onnx")
    left = saved_preprocessing(model.metadata_props)
    assert left == Preprocessing(scale=1.0, layout="NHWC")
    assert Preprocessing.from_yaml(model.metadata_props[FOLDED]) == DECLARED
    assert resizes_images(model.metadata_props)
    session = tinyint.open("int8.onnx", runtime="onnxruntime", threads=1)
    assert session.inputs[0].shape[1:] == (None, None, 3)
    plain = get_runtime("onnxruntime").open("float.onnx", threads=1)
    for path in sorted(Path("images").rglob("*.png"))[8:]:
        image = Image.open(path)
        (found,) = session.run({"image": np.asarray(image)[None]}).values()
        (expected,) = plain.run({"image": DECLARED.apply(image)[None]}).values()
        assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.usefixtures("here")
def test_the_proof_is_of_images_that_calibration_has_not_seen():
    """The copy of a calibration image is known by what the preprocessing makes of it."""
    report = json.loads(Path("int8.report.json").read_text())
    assert report["held_out"]
    assert report["verification"]["samples"] == 21 - 8 - 1
    assert report["verification"]["sqnr_db"] > 25
    assert any("left out 1 sample" in note for note in report["notes"])
    assert any("of any height and width" in note for note in report["notes"])


@pytest.mark.usefixtures("here")
def test_every_verb_gives_it_the_images():
    ours = tinyint.evaluate("int8.onnx", "images", against="float.onnx", task="classification", run=QUIET)
    assert ours.against is not None
    assert ours.metrics["top1"] == pytest.approx(ours.against["top1"], abs=0.1)
    declared = tinyint.Samples("images", preprocessing=DECLARED)
    assert ours.against == tinyint.evaluate("float.onnx", declared, task="classification", run=QUIET).metrics
    compared = json.loads(run("compare", "float.onnx", "int8.onnx", "--data", "images", "--json"))
    assert not compared["unmatched"]
    assert min(row["cumulative_db"] or 99 for row in compared["tensors"]) > 20
    run("predict", "int8.onnx", "--input", "images", "-o", "predicted", "--task", "classification")
    assert len(json.loads(Path("predicted/predictions.json").read_text())) == 21
    told = run("bench", "float.onnx", "int8.onnx", "--data", "images", "--warmup", "1")
    assert "each call of float.onnx includes the preprocessing" in told


@pytest.mark.usefixtures("here")
def test_beside_it_a_float_model_resizes_in_each_call():
    both = SideBySide.of([Subject.of(model, "onnxruntime", 1) for model in ("float.onnx", "int8.onnx")])
    session = both.subjects[0].session
    assert isinstance(session, PixelSession)
    image = Image.open(sorted(Path("images").rglob("*.png"))[3])
    given = session.preprocessed({"image": np.asarray(image)[None]})["image"]
    assert np.array_equal(given, DECLARED.apply(image)[None])


@pytest.mark.usefixtures("here")
def test_beside_one_that_takes_resized_images_it_is_refused():
    samples = tinyint.Samples("images", limit=8, preprocessing=DECLARED)
    other = tinyint.quantize("float.onnx", samples, recipe={"fold_preprocessing": True}, run=ONCE).model
    subjects = [Subject.of(model, "onnxruntime", 1) for model in ("int8.onnx", other)]
    with pytest.raises(ModelError, match=r"int8.onnx resizes images itself, .* takes resized ones"):
        SideBySide.of(subjects)


@pytest.mark.usefixtures("here")
def test_a_data_file_holds_resized_images_and_is_refused():
    told = run("preprocess", "--data-dir", "images", "--model", "int8.onnx", "-o", "x.bin", code=2)
    assert "int8.onnx resizes images itself" in told
    assert not Path("x.bin").exists()
    run("preprocess", "--data-dir", "images", "--preprocessing", "p.yaml", "-o", "float.bin")
    assert "was made with resize: 18" in run("evaluate", "int8.onnx", "--data", "float.bin", code=2)
    words = ("--preprocessing", "p.yaml", "--fold-resize")
    told = run("quantize", "float.onnx", "-o", "x.onnx", "--data", "float.bin", *words, code=2)
    assert "is proven on image files" in told
    assert not list(Path().glob("x.*"))


@pytest.mark.usefixtures("here")
def test_results_with_places_are_refused():
    with pytest.raises(ModelError, match="results of segmentation are of the resized image"):
        tinyint.evaluate("int8.onnx", "images", task="segmentation", run=QUIET)
    model = image_classifier()
    require_resizable(model, None)
    model.metadata_props.update(Segmentation(classes=("a", "b")).to_metadata())
    with pytest.raises(DataError, match="cannot be folded into a model for segmentation"):
        require_resizable(model, None)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("declared", "words", "told"),
    [
        ({"resize": 16, "interpolation": "lanczos"}, (), "and lanczos is declared"),
        ({"resize": [20, 16]}, (), "change layout, color, resize or crop"),
        ({"mean": [0.5]}, ("--no-verify",), "neither resize nor crop is declared"),
    ],
)
def test_refusals_write_nothing(
    tmp_path: Path, declared: dict[str, object], words: tuple[str, ...], told: str
):
    file, out = tmp_path / "q.yaml", tmp_path / "x.onnx"
    file.write_text(json.dumps(declared))
    arguments = (
        "float.onnx",
        "-o",
        str(out),
        "--data",
        "images",
        "--preprocessing",
        str(file),
        "--fold-resize",
    )
    assert told in run("quantize", *arguments, *words, code=2)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.usefixtures("here")
def test_the_runtime_that_ignores_antialias_is_not_chosen():
    pytest.importorskip("openvino")
    told = run("bench", "int8.onnx", "--data", "images", "--runtime", "openvino", code=2)
    assert "openvino ignores the antialias of 'image/resized'" in told
    example = {"image": np.zeros((1, 30, 40, 3), np.uint8)}
    model = api.open("int8.onnx", runtime="auto", threads=1, example=example, notice=lambda _: None)
    assert model.choice is not None
    assert "antialias" in model.choice.excluded["openvino"]
    assert model.runtime == "onnxruntime"
