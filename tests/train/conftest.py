import os
from pathlib import Path

import pytest
import torch

from tests.train.build import config, write_digits
from tinyint.train import TrainingConfig


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYINT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="package", autouse=True)
def _one_thread():
    """Small tensors: a second thread costs more than it brings."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder)
    return folder


@pytest.fixture
def here(digits: Path, tmp_path: Path) -> Path:
    """A directory with train.npz and val.npz."""
    for name in ("train.npz", "val.npz"):
        os.link(digits / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def base(here: Path) -> TrainingConfig:
    return config(here)
