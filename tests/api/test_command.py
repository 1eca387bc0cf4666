"""Commands that make the same again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.models import residual
from tinyint.api.command import quantize_command
from tinyint.data import Samples
from tinyint.loading import PaddleFiles
from tinyint.quantization.recipe import Recipe
from tinyint.quantization.recipe_source import ChangedRecipe
from tinyint.runtimes.run import Run
from tinyint.targets import get_target

OUT = Path("out.onnx")


def command(model: object = "in.onnx", samples: Samples | None = None, **changes: object) -> str | None:
    given = {
        "recipe": "default",
        "target": get_target("generic"),
        "calibration": None,
        "run": Run(),
        **changes,
    }
    return quantize_command(model, samples or Samples("data"), given.pop("output", OUT), **given)  # type: ignore[arg-type]


def test_the_plain_command():
    assert command() == "tinyint quantize in.onnx -o out.onnx --data data --recipe default --target generic"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"samples": Samples("my data", limit=9, on_error="skip")}, "--data 'my data' --samples 9 --on-error skip"),
        ({"samples": Samples("d", limit="all", preprocessing="p.yaml")}, "--samples all --preprocessing p.yaml"),
        ({"samples": Samples(None), "calibration": Path("r.npz")}, "out.onnx --calibration r.npz --recipe"),
        ({"recipe": ChangedRecipe("fast", ("a=1", "skip=[a]"))}, "--recipe fast --set a=1 --set 'skip=[a]'"),
        ({"recipe": Recipe()}, "--recipe recipe.yaml"),
        ({"run": Run(threads=1, race=2.0, verify=False)}, "--threads 1 --race 2 --no-verify"),
        ({"run": Run(batch_size=4, provider="cuda")}, "--batch-size 4 --provider cuda"),
    ],
)  # fmt: skip
def test_options_are_said(changes, words):
    found = command(**changes)
    assert found is not None
    assert words in found


def test_a_paddle_model_is_named_by_its_files(tmp_path):
    for name in ("net.json", "net.pdiparams"):
        (tmp_path / name).touch()
    found = command(PaddleFiles(tmp_path / "net.json", tmp_path / "net.pdiparams"))
    assert found is not None
    assert f"quantize {tmp_path} --model-filename net.json --params-filename net.pdiparams -o" in found


@pytest.mark.parametrize(
    "changes",
    [
        {"model": residual()},
        {"samples": Samples([np.zeros(3)])},
        {"samples": Samples("d", skip=4)},
        {"output": None},
        {"calibration": object()},
    ],
)
def test_what_is_in_no_file_has_no_command(changes):
    assert command(**changes) is None
