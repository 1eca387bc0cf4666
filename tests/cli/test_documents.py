"""What every command prints with `--json` fits the schema that is published for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer

import tinyint
from tests import schemas
from tests.tasks import build as tasks
from tests.train.build import config, write_digits
from tinyint.cli.app import app
from tinyint.train import dump_config

Document = Callable[..., Any]

DATA = ("--data", "images")
COMMANDS = {
    "demo": ("-o", "demo", "--threads", "1"),
    "quantize": ("float.onnx", "-o", "made.onnx", *DATA, "--samples", "4"),
    "calibrate": ("float.onnx", "-o", "record.npz", *DATA),
    "evaluate": ("int8.onnx", *DATA, "--against", "float.onnx"),
    "compare": ("float.onnx", "int8.onnx", *DATA),
    "check": ("int8.report.json", "int8.report.json", "--max-drop", "1"),
    "preprocess": (*DATA, "--model", "float.onnx", "-o", "images.bin"),
    "export": ("int8.onnx", "-o", "deploy.onnx", "--task", "classification", "--with-softmax"),
    "predict": ("int8.onnx", "--input", "images", "-o", "seen", "--task", "classification"),
    "inspect": ("int8.onnx",),
    "bench": ("float.onnx", "int8.onnx", *DATA, "--with-accuracy", "--profile", "--task", "classification"),
    "doctor": (),
    "advise": ("float.onnx", *DATA),
    "cache": ("--clear",),
    "train": ("-c", "run.yaml", "--save-dir", "trained"),
    "qat": ("-c", "run.yaml", "--model-path", "trained/best_model", "--save-dir", "qat"),
    "recipe show": ("default",),
    "recipe from-paddleslim": ("slim.yaml",),
    "zoo list": (),
    "zoo export": ("mobilenet_v1", "-o", "zoo.onnx", "--size", "32"),
    "data list": (),
    "data make": ("glyphs", "glyphs", "--train", "2", "--val", "1", "--workers", "1"),
}
"""A call of each, in the order in which they may need each other's files."""

OTHERS = [
    (
        "quantize",
        "float.onnx",
        "-o",
        "within.onnx",
        *DATA,
        "--samples",
        "4",
        "--max-drop",
        "1",
        "--metric",
        "sqnr",
    ),
    ("quantize", "float.onnx", "-o", "raced.onnx", *DATA, "--samples", "4", "--race", "0.2"),
    ("quantize", "float.onnx", "-o", "bare.onnx", *DATA, "--no-verify"),
    ("compare", "float.onnx", "int8.onnx", *DATA, "--sensitivity"),
    ("inspect", "float.onnx"),
    ("bench", "int8.onnx", "--iterations", "2", "--warmup", "1"),
    ("recipe", "show"),
    ("recipe", "show", "accurate", "--set", "rules=[{op_type: Conv, weights: {bits: 7}}]"),
    ("train", "--help-config"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("documents")
    tasks.saved(tasks.classifier(), root / "float.onnx")
    tasks.class_folders(root / "images")
    given = tinyint.Samples(root / "images", limit=4)
    tinyint.quantize(root / "float.onnx", given, output=root / "int8.onnx")
    write_digits(root)
    (root / "run.yaml").write_text(dump_config(config(root, iters=2)))
    (root / "slim.yaml").write_text(
        "weight_quantize_type: channel_wise_abs_max\nquantize_op_types: [conv2d]\n"
    )
    return root


@pytest.fixture(autouse=True)
def _here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def paths(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    if not hasattr(command, "commands"):
        yield " ".join(path)
    else:
        for name in command.commands:
            yield from paths(command.get_command(None, name), (*path, name))


def test_every_command_is_called_here():
    assert set(paths(typer.main.get_command(app))) == COMMANDS.keys()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_document_fits_the_schema(command: str, document: Document) -> None:
    found = document(*command.split(), *COMMANDS[command])
    assert "error" not in found
    with pytest.raises(jsonschema.ValidationError):
        schemas.require_valid(command.split(), found | {"nowhere": 1})
    for key in found.keys() - {"budget", "against", "rules"}:
        if not command.startswith("recipe"):  # a recipe leaves out keys without effect
            with pytest.raises(jsonschema.ValidationError):
                schemas.require_valid(command.split(), {k: v for k, v in found.items() if k != key})


@pytest.mark.parametrize("words", OTHERS, ids=lambda words: " ".join(words)[:60])
def test_so_do_its_other_forms(words: tuple[str, ...], document: Document) -> None:
    document(*words)


@pytest.mark.parametrize("command", COMMANDS)
def test_so_does_wrong_usage(command: str, document: Document) -> None:
    assert "--nowhere" in document(*command.split(), "--nowhere", code=2)["error"]
