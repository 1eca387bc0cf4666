"""Each task from the float model to the pictures, on ONNX Runtime and OpenVINO."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

import tinyint
from tests.cli.conftest import Run
from tests.graph.build import build
from tests.tasks import build as tasks
from tests.tasks.build import DATA, DETECTOR
from tinyint import api
from tinyint.runtimes import get_runtime
from tinyint.tasks.tails import Suppression

Document = Callable[..., Any]
TARGETS = {"onnxruntime": "x86-vnni", "openvino": "openvino"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, float models, and int8 models of both targets, for each task."""
    root = tmp_path_factory.mktemp("tasks")
    for task, source in tasks.every_task(root).items():
        for runtime, target in TARGETS.items():
            output = root / f"{task}.{runtime}.onnx"
            api.quantize(
                source, root / DATA[task], output=output, target=target, run=tinyint.Run(verify=False)
            )
    api.export(root / "detection.onnx", root / "nms.onnx", nms=Suppression())
    turned = DETECTOR.model_copy(update={"classes": ("blue", "red")})
    for name, facts in (("bare", {}), ("turned", turned.to_metadata())):
        model = tasks.detector()
        del model.metadata_props["tinyint.task"]
        model.metadata_props.update(facts)
        tasks.saved(model, root / f"{name}.onnx")
    return root


@pytest.fixture(autouse=True)
def _here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


MAIN = {"classification": "top1", "segmentation": "miou", "detection": "AP"}


@pytest.mark.parametrize("runtime", TARGETS)
@pytest.mark.parametrize("task", DATA)
def test_float_and_int8_side_by_side(task: str, runtime: str, document: Document, run: Run) -> None:
    command = ("evaluate", f"{task}.{runtime}.onnx", "--data", DATA[task], "--against", f"{task}.onnx")
    found = document(*command)
    assert (found["task"], found["notices"]) == (task, [])
    assert found["metrics"][MAIN[task]] == pytest.approx(1.0)
    assert found["against"]["metrics"] == pytest.approx(found["metrics"])
    judged = found["against"]["differences"][MAIN[task]]
    assert (judged["value"], judged["p"], judged["beyond_chance"]) == (0.0, 1.0, False)
    assert f"{MAIN[task]}: no difference beyond chance (p = 1.00)" in run(*command).stdout


@pytest.mark.parametrize("runtime", TARGETS)
@pytest.mark.parametrize(
    ("task", "options", "outputs"),
    [
        ("classification", (), ["logits"]),
        ("classification", ("--with-softmax",), ["probabilities"]),
        ("segmentation", (), ["labels"]),
        ("segmentation", ("--without-argmax",), ["logits"]),
        ("segmentation", ("--with-softmax",), ["probabilities"]),
        ("segmentation", ("--with-softmax", "--without-argmax"), ["probabilities"]),
        ("detection", (), ["boxes", "scores"]),
        ("detection", ("--nms", "--score-threshold", "0.2", "--max-detections", "3"), ["detections"]),
    ],
)
def test_an_exported_model_is_as_good(
    task: str, options: tuple[str, ...], outputs: list[str], runtime: str, tmp_path: Path, document: Document
) -> None:
    source, output = f"{task}.{runtime}.onnx", tmp_path / "deploy.onnx"
    made = document("export", source, "-o", output, *options)
    assert (made["outputs"], made["runtime"]) == (outputs, runtime)
    for name in TARGETS:
        assert list(get_runtime(name).open(output).outputs) == outputs
    count = sum(node.int8 for node in get_runtime(runtime).executed(Path(source)))
    assert made["int8_nodes"] >= count > 0  # the runtime also cuts up heads before it turns them into float
    found = document("evaluate", output, "--data", DATA[task], "--batch-size", "4")
    assert found["metrics"][MAIN[task]] == pytest.approx(1.0)
    assert found["per_class"].keys() == set(tasks.NAMES if task != "detection" else ("red", "blue"))


def test_a_float_model_is_exported_too(tmp_path: Path, document: Document) -> None:
    made = document("export", "detection.onnx", "-o", tmp_path / "deploy.onnx")
    assert (made["postprocessing"], made["int8_nodes"]) == ("boxes", 0)


def test_a_worse_detector_is_told_from_chance(document: Document, tmp_path: Path, run: Run) -> None:
    tasks.saved(tasks.detector(noise=10), tmp_path / "poor.onnx")
    tasks.coco(tmp_path / "many", 41)
    command = ("evaluate", tmp_path / "poor.onnx", "--data", tmp_path / "many/instances.json")
    judged = document(*command, "--against", "detection.onnx")["against"]["differences"]["AP"]
    assert judged["test"] == "bootstrap"
    assert judged["low"] <= judged["value"] <= judged["high"] < 0
    assert judged["beyond_chance"]


@pytest.mark.parametrize("runtime", TARGETS)
def test_pictures_of_boxes(runtime: str, tmp_path: Path, document: Document) -> None:
    model = f"detection.{runtime}.onnx"
    found = document("predict", model, "--input", "boxes", "-o", tmp_path / "seen")
    assert (found["samples"], found["pictures"]) == (6, 6)
    rows = json.loads((tmp_path / "seen/predictions.json").read_text())
    first = [row for row in rows if row["image_id"] == 10]
    assert [
        (row["name"], row["category_id"]) for row in sorted(first, key=lambda row: row["category_id"])
    ] == [
        ("red", 0),
        ("blue", 1),
    ]
    red = next(row for row in first if row["name"] == "red")
    assert red["bbox"] == pytest.approx([0, 0, 64, 48], abs=1.5)
    assert 0.9 < red["score"] <= 1
    assert not [row for row in rows if row["image_id"] == 15]  # the empty one
    with Image.open(tmp_path / "seen" / "10.png") as picture:
        assert picture.size == (480, 360)  # enlarged
        # The outline of the red square is drawn in the colour of its class, not in the red of the image.
        assert picture.convert("RGB").getpixel((120, 179)) not in [(255, 0, 0), (0, 0, 0)]
    none = document("predict", model, "--input", "boxes", "-o", tmp_path / "none", "--score-threshold", "1")
    assert json.loads((tmp_path / "none/predictions.json").read_text()) == []
    assert none["pictures"] == 6


def test_one_option_of_suppression_leaves_the_others(tmp_path: Path, document: Document) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32, :32, 0], pixels[32:, 32:, 0] = (
        255,
        128,
    )  # a half red cell has logits near 0: its score is near 1/4
    Image.fromarray(pixels).save(tmp_path / "dim.png")

    def scores(*options: str) -> list[float]:
        place = tmp_path / "seen"
        document("predict", "detection.onnx", "--input", tmp_path / "dim.png", "-o", place, *options)
        return [row["score"] for row in json.loads((place / "predictions.json").read_text())]

    assert scores("--score-threshold", "0.01") == pytest.approx([1.0, 0.25], abs=0.02)
    for options in ((), ("--max-detections", "50"), ("--iou-threshold", "0.5")):
        assert scores(*options) == pytest.approx([1.0], abs=0.02)


def test_pictures_of_masks(tmp_path: Path, document: Document) -> None:
    document("predict", "segmentation.onnx", "--input", "pixels/1.png", "-o", tmp_path / "seen")
    (entry,) = json.loads((tmp_path / "seen/predictions.json").read_text())
    assert entry == {
        "file_name": "1.png",
        "shares": {"green": 0.5, "blue": 0.5},
        "picture": "1.png",
        "mask": "1.mask.png",
    }
    with Image.open(tmp_path / "seen/1.mask.png") as mask:
        assert mask.mode == "P"
        assert np.unique(np.asarray(mask)[:, :32]).tolist() == [1]
        assert np.unique(np.asarray(mask)[:, 32:]).tolist() == [2]
    with Image.open(tmp_path / "seen/1.png") as picture:
        assert picture.width == 480
        assert picture.height > 480  # the legend


def test_pictures_of_classes(tmp_path: Path, document: Document) -> None:
    made = tmp_path / "deploy.onnx"
    document("export", "classification.onnx", "-o", made, "--with-softmax")
    for name, model in (("logits", "classification.onnx"), ("softmax", made)):
        document("predict", model, "--input", "images", "-o", tmp_path / name)
        rows = json.loads((tmp_path / name / "predictions.json").read_text())
        row = next(row for row in rows if row["file_name"] == str(Path("1_green/0.png")))
        # All green: the logits are 0, 8 and 0.
        assert (row["class"], row["name"], row["picture"]) == (1, "green", "1_green/0.png")
        assert row["probability"] == pytest.approx(np.exp(8) / (np.exp(8) + 2), abs=1e-4)
        assert sum(top["probability"] for top in row["top"]) == pytest.approx(1)
    assert len(list((tmp_path / "logits").rglob("*.png"))) == 12


def test_arrays_give_predictions_without_pictures(tmp_path: Path, document: Document) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 3, 64, 64), np.float32))
    found = document("predict", "classification.onnx", "--input", tmp_path / "x.npy", "-o", tmp_path / "seen")
    assert (found["samples"], found["pictures"]) == (2, 0)


def test_a_corrupt_image_stops_or_is_skipped(tmp_path: Path, document: Document) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(3):
        Image.new("RGB", (8, 8), (0, 255, 0)).save(folder / f"{i}.png")
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:40])
    command = ("predict", "classification.onnx", "--input", folder, "-o", tmp_path / "seen")
    assert "1.png" in document(*command, code=2)["error"]
    found = document(*command, "--on-error", "skip")
    assert (found["samples"], found["pictures"]) == (2, 2)
    assert any("1 sample was skipped" in notice and "1.png" in notice for notice in found["notices"])


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            "export detection.onnx -o x.onnx --with-softmax",
            "--with-softmax is for classification and segmentation, but the model is for detection",
        ),
        ("export classification.onnx -o x.onnx --without-argmax", "--without-argmax is for segmentation"),
        ("export classification.onnx -o x.onnx --nms", "--nms is for detection"),
        ("export detection.onnx -o x.onnx --iou-threshold 0.5", "--iou-threshold is for --nms"),
        ("export detection.onnx -o detection.onnx", "it is the file that is read"),
        ("evaluate classification.onnx --data images --task detection", "which anchors and strides"),
        ("evaluate classification.onnx --data images --task detektion", "did you mean 'detection'"),
        ("evaluate bare.onnx --data boxes/instances.json", "which anchors and strides"),
        (
            "evaluate turned.onnx --data boxes/instances.json",
            "class 0 is 'red' there and 'blue' in the model",
        ),
        ("predict nms.onnx --input boxes -o s --iou-threshold 0.5", "applies NMS itself"),
        (
            "predict nms.onnx --input boxes -o s --score-threshold 0.001",
            "leaves out boxes of scores up to 0.01 itself",
        ),
        ("evaluate classification.onnx --data pixels/list.txt", "but the model is for classification"),
        ("predict detection.onnx --input boxes -o boxes", "the samples are read from it"),
        ("predict segmentation.onnx --input pixels -o s --score-threshold 0.5", "are for detection"),
        ("predict detection.onnx --input nowhere -o s", "do not exist"),
    ],
)
def test_what_does_not_go_together(command: str, message: str, document: Document, place: Path) -> None:
    before = sorted(place.rglob("*"))
    assert message in document(*command.split(), code=2)["error"]
    assert sorted(place.rglob("*")) == before


def test_a_file_tells_what_stands_behind_its_network(tmp_path: Path, document: Document, run: Run) -> None:
    options = ("--nms", "--score-threshold", "0.2", "--max-detections", "3")
    document("export", "detection.onnx", "-o", tmp_path / "deploy.onnx", *options)
    found = document("inspect", tmp_path / "deploy.onnx", "--target", "x86-vnni")
    assert (found["task"], found["postprocessing"]) == ("detection", "detections")
    settings = {"score_threshold": 0.2, "iou_threshold": 0.45, "max_detections": 3}
    assert found["suppression"] == settings
    metadata = {prop.key: prop.value for prop in onnx.load(tmp_path / "deploy.onnx").metadata_props}
    assert json.loads(metadata["tinyint.suppression"]) == settings
    shown = "for detection, with detections: scores above 0.2, IoU up to 0.45, at most 3 boxes of a class in an image"
    assert shown in run("inspect", tmp_path / "deploy.onnx").stdout.splitlines()

    document("export", "detection.onnx", "-o", tmp_path / "boxes.onnx")
    found = document("inspect", tmp_path / "boxes.onnx", "--target", "x86-vnni")
    assert (found["postprocessing"], found["suppression"]) == ("boxes", None)
    found = document("inspect", "classification.onnx", "--target", "x86-vnni")
    assert (found["task"], found["postprocessing"]) == ("classification", None)


def test_a_tail_is_not_put_behind_another(tmp_path: Path, document: Document) -> None:
    document("export", "detection.onnx", "-o", tmp_path / "once.onnx")
    error = document("export", tmp_path / "once.onnx", "-o", tmp_path / "twice.onnx", code=2)["error"]
    assert "is exported already, with boxes" in error


def test_texts_are_judged_and_predicted(tmp_path: Path, document: Document) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    (tmp_path / "words.yaml").write_text(f"{{tokenizer: {tmp_path / 'vocab.txt'}, max_length: 6}}")
    (tmp_path / "dev.tsv").write_text("label\ttext_a\n1\tgood good\n0\tbad\n0\tgood bad bad\n1\tgood bad\n")
    (tmp_path / "new.tsv").write_text("text_a\ngood\nbad bad\n")
    table = np.zeros((7, 2), np.float32)
    table[5], table[6] = (0, 2), (2, 0)  # good speaks for class 1, bad for class 0
    model = build(
        """
        g (int64[N,6] input_ids) => (float[N,2] y) {
          e = Gather (t, input_ids)  y = ReduceMean <axes=[1], keepdims=0> (e)
        }
        """,
        t=table,
    )
    tasks.saved(model, tmp_path / "text.onnx")
    declared = ("--preprocessing", tmp_path / "words.yaml")
    found = document("evaluate", tmp_path / "text.onnx", "--data", tmp_path / "dev.tsv", *declared)
    # The last one is a tie, which the lower class wins: three of four are right. Of class 1, one of two is found, and
    # nothing else is taken for it: F1 is 2·1 / (1 + 2).
    assert (found["metrics"]["top1"], found["metrics"]["f1_positive"]) == (0.75, pytest.approx(2 / 3))
    made = document(
        "predict", tmp_path / "text.onnx", "--input", tmp_path / "new.tsv", "-o", tmp_path / "o", *declared
    )
    assert (made["samples"], made["pictures"]) == (2, 0)
    rows = json.loads((tmp_path / "o/predictions.json").read_text())
    assert [(row["file_name"], row["class"]) for row in rows] == [
        ("new.tsv, line 2", 1),
        ("new.tsv, line 3", 0),
    ]
