"""Damaged data, wrong labels, and data of another family: one message that names what is wrong, and exit code 2."""

from __future__ import annotations

import json
import shutil
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.workflows.conftest import tinyint
from tests.workflows.toys import TOYS
from tinyint.cli.app import app

ONE = ("--iters", "1", "-o", "data.val=null")
BROKEN = "glyphs/train/A/broken.png"
COCO = Path("scenes/annotations/instances_train.json")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and configs of all families, and in best/ a classifier of glyphs."""
    root = tmp_path_factory.mktemp("families")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for toy in TOYS.values():
            toy.write(root)
        tinyint("train", "-c", "glyphs.yaml", "--save-dir", "best", *ONE)
    return root


@pytest.fixture(autouse=True)
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all that, which is the working directory."""
    monkeypatch.setenv("TINYINT_CACHE_DIR", str(tmp_path / "cache"))
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path


def refused(*arguments: object) -> str:
    """The one line on stderr with which `tinyint …` ends."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    return result.stderr


FORMS = {  # how an error calls the labels of a family, or its samples
    "glyphs": "labelled with class numbers",
    "scenes": "labelled with boxes",
    "streets": "labelled with label images",
    "sentences": "holds texts",
}


@pytest.mark.parametrize(
    ("config", "data"), [pytest.param(*pair, id=" on ".join(pair)) for pair in permutations(TOYS, 2)]
)
def test_a_config_of_one_family_with_data_of_another(config: str, data: str) -> None:
    spec = TOYS[data].spec
    told = refused("train", "-c", f"{config}.yaml", "-o", f"data.train={spec}", "--save-dir", "new", *ONE)
    assert spec in told
    assert ("the model takes texts" if config == "sentences" else FORMS[data]) in told
    assert not list(Path("new").glob("*"))


@pytest.mark.parametrize("data", [name for name in TOYS if name != "glyphs"])
def test_a_model_of_one_family_judged_on_data_of_another(data: str) -> None:
    assert FORMS[data] in refused("evaluate", "best/best_model", "--data", TOYS[data].spec)


@pytest.mark.parametrize(
    ("family", "classes"), [("glyphs", 35), ("scenes", 7), ("streets", 11), ("sentences", 2)]
)
def test_a_label_outside_the_classes(family: str, classes: int) -> None:
    changed = ("-o", f"model.arguments.num_classes={classes}", "--save-dir", "new")
    told = refused("train", "-c", f"{family}.yaml", *changed, "--iters", "20")
    assert "has the label " in told
    assert f"but the model has the classes 0 to {classes - 1}" in told
    assert ("loss.ignore_label" in told) == (family != "scenes")


def test_a_label_outside_the_classes_in_an_evaluation() -> None:
    image = next(Path("glyphs/train/A").glob("*.png"))
    Path("glyphs/list.txt").write_text(f"{image.relative_to('glyphs')} 36\n", encoding="utf-8")
    told = refused("evaluate", "best/best_model", "--data", "glyphs:list.txt")
    assert image.name in told
    assert "36" in told


def broken() -> None:
    whole = next(Path("glyphs/train/A").glob("*.png")).read_bytes()
    Path(BROKEN).write_bytes(whole[: len(whole) // 2])


COMMANDS: dict[str, tuple[object, ...]] = {
    "train": ("-c", "glyphs.yaml", "--save-dir", "new", "--iters", "3", "-o", "data.val=null"),
    "quantize": ("best/best_model", "-o", "int8.onnx", "--data", "glyphs/train", "--no-verify"),
    "evaluate": ("best/best_model", "--data", "glyphs/train"),
    "predict": ("best/best_model", "--input", "glyphs/train/A", "-o", "seen"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_corrupt_image_is_named(command: str) -> None:
    broken()
    assert BROKEN in refused(command, *COMMANDS[command])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_corrupt_image_is_skipped_and_counted(command: str) -> None:
    broken()
    skip = ("-o", "data.on_error=skip") if command == "train" else ("--on-error", "skip")
    result = CliRunner().invoke(app, [str(part) for part in (command, *COMMANDS[command], *skip)])
    assert result.exit_code == 0, result.output
    told = " ".join((result.stderr + result.stdout).split())
    assert f"1 sample was skipped: cannot read the image {BROKEN}" in told


def change_boxes(*changes: list[float]) -> None:
    """Gives the first annotations these boxes."""
    content: dict[str, Any] = json.loads(COCO.read_text(encoding="utf-8"))
    for entry, box in zip(content["annotations"], changes, strict=False):
        entry["bbox"] = box
    COCO.write_text(json.dumps(content), encoding="utf-8")


def test_boxes_that_leave_their_image_or_have_no_area_are_counted() -> None:
    change_boxes([10, 10, 5000, 20], [10, 10, 0, 20], [-500, 10, 20, 20])
    result = CliRunner().invoke(app, ["train", "-c", "scenes.yaml", *ONE])
    assert result.exit_code == 0, result.output
    assert f"2 boxes of {COCO} have no area, or lie outside their image, and are left out" in result.stderr
    assert f"1 boxes of {COCO} leave their image" in result.stderr


@pytest.mark.parametrize("box", [[10, 10, 20], [10, 10, float("nan"), 5]], ids=["short", "nan"])
def test_boxes_that_are_none_are_refused(box: list[float]) -> None:
    change_boxes(box)
    assert f"{COCO}, annotation id 1: bbox is" in refused("train", "-c", "scenes.yaml", *ONE)


def test_a_run_that_is_refused_leaves_no_directory_behind() -> None:
    mean = "data.preprocessing={resize: [32, 32], mean: [[]]}"
    assert "mean" in refused("train", "-c", "glyphs.yaml", "--save-dir", "other", *ONE, "-o", mean)
    assert not Path("other").exists()


def test_a_width_without_an_end_is_refused() -> None:
    arguments = "model.arguments={num_classes: 36, width: .inf}"
    assert "model.arguments" in refused("train", "-c", "glyphs.yaml", *ONE, "-o", arguments)
