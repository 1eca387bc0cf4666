"""A small float model and samples in a directory of their own, and the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests import schemas
from tests.models import noise, residual
from tinyint.cli.app import app
from tinyint.graph.io import save_model

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYINT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: float.onnx and calib.npy (12 samples)."""
    monkeypatch.chdir(tmp_path)
    model = residual()
    save_model(model, "float.onnx")
    np.save("calib.npy", np.concatenate([sample["x"] for sample in noise(model, 12)]))
    return tmp_path


@pytest.fixture
def run() -> Run:
    """Runs `tinyint` with these arguments."""

    def invoke(*arguments: str | Path) -> Any:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def document(run: Run) -> Callable[..., Any]:
    """Runs `tinyint … --json`, and returns the one document on stdout, which fits its published schema."""

    def invoke(*arguments: str | Path, code: int = 0) -> Any:
        result = run(*arguments, "--json")
        assert result.exit_code == code, result.output
        found = json.loads(result.stdout)
        schemas.require_valid(arguments, found)
        return found

    return invoke
