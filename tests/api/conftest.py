from pathlib import Path

import numpy as np
import pytest

from tests.models import noise, residual
from tinyint.graph.io import save_model


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TINYINT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "float.onnx"
    save_model(residual(), path)
    return path


@pytest.fixture
def samples() -> np.ndarray:
    return np.concatenate([sample["x"] for sample in noise(residual(), 12)])
