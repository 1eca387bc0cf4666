"""A family's whole way through the command line, gone once: what every command said, and the files that it left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tests.workflows.toys import TOYS, Toy
from tinyint.cli.app import app


def tinyint(*arguments: object, code: int = 0) -> Any:
    """What `tinyint … --json` printed, in the working directory."""
    result = CliRunner().invoke(app, [*(str(argument) for argument in arguments), "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@dataclass(frozen=True)
class Way:
    """A toy, the folder that holds its data and models, and the documents of the commands by name."""

    toy: Toy
    root: Path
    said: dict[str, Any] = field(default_factory=dict)

    def go(self) -> None:
        toy, said = self.toy, self.said
        config, name = toy.write(self.root).name, toy.family
        data = ("--data", toy.spec)
        best = f"{name}-float/best_model"
        said["train"] = tinyint("train", "-c", config)
        said["quantize"] = tinyint("quantize", best, "-o", "int8.onnx", *data, "--samples", "16")
        said["evaluate"] = tinyint("evaluate", "int8.onnx", *data, "--against", best)
        changes = ("--save-dir", f"{name}-qat", "--learning-rate", "0.0005", "--iters", "5")
        said["qat"] = tinyint("qat", "-c", config, "--model-path", best, *changes)
        said["evaluate qat"] = tinyint("evaluate", f"{name}-qat/best_model", *data)
        option = {"classification": ("--with-softmax",), "detection": ("--nms",)}.get(toy.task, ())
        said["export"] = tinyint("export", f"{name}-qat/best_model", "-o", "deploy.onnx", *option)
        said["evaluate export"] = tinyint("evaluate", "deploy.onnx", *data)
        said["predict"] = tinyint("predict", "deploy.onnx", "--input", toy.spec, "-o", "seen")


@pytest.fixture(scope="package", params=TOYS)
def way(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    """In its folder, which is the working directory."""
    root = tmp_path_factory.mktemp(request.param)
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("TINYINT_CACHE_DIR", str(root / "cache"))
        torch.set_num_threads(1)  # the networks are too small to share
        gone = Way(TOYS[request.param], root)
        gone.go()
        yield gone
    torch.set_num_threads(threads)
