"""Where `predict` writes, and what it leaves alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.tasks import build as tasks
from tinyint.data.cityscapes import read_cityscapes

Document = Callable[..., Any]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tasks.saved(tasks.classifier(), tmp_path / "classifier.onnx")
    tasks.saved(tasks.segmenter(), tmp_path / "segmenter.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def images(place: str, *names: str) -> None:
    for number, name in enumerate(names):
        path = Path(place, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (20 * number, 255, 0)).save(path)


def contents() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file()}


def in_folder() -> str:
    images("data", "a.png", "b.png")
    return "data"


def in_class_folders() -> str:
    images("data", "x/a.png", "y/b.png")
    return "data"


def one_image() -> str:
    images("data", "a.png")
    return "data/a.png"


def list_in_folder() -> str:
    images("data", "a.png", "b.png")
    Path("data/list.txt").write_text("a.png\nb.png\n")
    return "data/list.txt"


def folder_and_list() -> str:
    images("data", "a.png", "b.png")
    Path("list.txt").write_text("a.png\nb.png\n")
    return "data:list.txt"


def coco(folder: str, file: str) -> None:
    images(folder, "1.png", "2.png")
    Path(file).parent.mkdir(exist_ok=True)
    entries = [{"id": n, "file_name": f"{n}.png", "width": 8, "height": 8} for n in (1, 2)]
    Path(file).write_text(json.dumps({"images": entries}))


def folder_and_coco() -> str:
    coco("data", "annotations/instances.json")
    return "data:annotations/instances.json"


def coco_alone() -> str:
    coco("data", "data/instances.json")
    return "data/instances.json"


def streets() -> str:
    images("data", "leftImg8bit/val/x/x_000000_000000_leftImg8bit.png")
    return "data:val"


WAYS = (
    in_folder,
    in_class_folders,
    one_image,
    list_in_folder,
    folder_and_list,
    folder_and_coco,
    coco_alone,
    streets,
)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_no_picture_comes_where_the_images_are(way: Callable[[], str], document: Document) -> None:
    data = way()
    Path("link").symlink_to("data")
    before = contents()
    for output in ("data", "link", "data/../data/"):
        told = document("predict", "classifier.onnx", "--input", data, "-o", output, code=2)["error"]
        assert "the samples are read from it" in told
    assert contents() == before
    document("predict", "classifier.onnx", "--input", data, "-o", "seen")
    assert contents().items() >= before.items()


def test_cityscapes_names_are_those_of_the_test_above() -> None:
    streets()
    assert len(read_cityscapes(Path("data"), "val")) == 1


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("classifier", "predictions.json"),
        ("classifier", "a.png"),
        ("segmenter", "a.mask.png"),
        ("classifier", "deep/b.png"),
    ],
)
def test_a_file_that_predict_did_not_write_stays(model: str, name: str, document: Document) -> None:
    images("data", "a.png")
    images("data", "deep/b.png")
    Path("list.txt").write_text("a.png\ndeep/b.png\n")
    images("seen", "mine.png")
    Path("seen", name).parent.mkdir(exist_ok=True)
    rows = [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1.0}]  # of another tool
    Path("seen", name).write_text(json.dumps(rows))
    before = contents()
    told = document("predict", f"{model}.onnx", "--input", "data:list.txt", "-o", "seen", code=2)["error"]
    assert name in told
    assert "not from an earlier `predict`" in told
    assert contents() == before


@pytest.mark.skipif(os.name == "nt", reason="links of POSIX")
def test_links_in_the_output_lead_to_nobodys_files(document: Document) -> None:
    images("data", "a.png", "b.png")
    images("mine", "a.png")
    Path("seen").mkdir()
    Path("seen/a.png").symlink_to("../mine/a.png")
    before = contents()
    assert (
        "seen/a.png"
        in document("predict", "classifier.onnx", "--input", "data", "-o", "seen", code=2)["error"]
    )
    assert contents() == before


def test_an_earlier_run_is_replaced(document: Document) -> None:
    images("data", "a.png", "b.png")
    Path("unlabelled").mkdir()
    for model in ("segmenter", "segmenter", "classifier"):
        document("predict", f"{model}.onnx", "--input", "data", "-o", "seen")
    rows = json.loads(Path("seen/predictions.json").read_text())
    assert [row["name"] for row in rows] == ["green", "green"]


def test_pictures_of_one_are_never_those_of_another(document: Document) -> None:
    names = ("a.jpg", "a.mask.jpg", "a.png", "a.png.jpg", "b.mask.png", "b.bmp")
    images("data", *names)
    found = document("predict", "segmenter.onnx", "--input", "data", "-o", "seen")
    assert found["pictures"] == len(names)
    rows = json.loads(Path("seen/predictions.json").read_text())
    files = [row[kind] for row in rows for kind in ("picture", "mask")]
    assert len(set(files)) == 2 * len(names)
    assert {str(Path("seen", file)) for file in files} < set(contents())


def test_an_error_in_the_middle_leaves_nothing(document: Document) -> None:
    images("data", "a.png", "b.png", "c.png")
    Path("data/c.png").write_bytes(b"no image")
    before = contents()
    for output in ("seen", "new/and/deep"):
        assert (
            "c.png"
            in document("predict", "classifier.onnx", "--input", "data", "-o", output, code=2)["error"]
        )
    assert contents() == before
    assert not Path("seen").exists()
    assert not Path("new").exists()
    Path("seen").mkdir()
    document("predict", "classifier.onnx", "--input", "data", "-o", "seen", code=2)
    assert list(Path("seen").iterdir()) == []


def test_a_mask_shows_its_classes_in_colours(document: Document) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, :20, 0] = pixels[:, 20:40, 1] = pixels[:, 40:, 2] = 255
    Path("data").mkdir()
    Image.fromarray(pixels).save("data/a.png")
    document("predict", "segmenter.onnx", "--input", "data", "-o", "seen")
    with Image.open("seen/a.mask.png") as mask:
        assert [mask.getpixel((x, 9)) for x in (9, 29, 59)] == [0, 1, 2]
        shown = mask.convert("RGB")
    colours = [shown.getpixel((x, 9)) for x in (9, 29, 59)]
    assert len(set(colours)) == 3
    assert all(max(colour) > 100 for colour in colours)


def test_images_beside_folders_are_taken(document: Document) -> None:
    images("data", "a.png", "b.png", "deep/c.png")
    found = document("predict", "classifier.onnx", "--input", "data", "-o", "seen")
    assert found["samples"] == 2
    assert any("1 folder passed over (deep, …)" in notice for notice in found["notices"])
