"""Every file in configs/ is what `tinyint train` can run, given its data: networks, data and loss go together."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tinyint.data import Preprocessing, TextPreprocessing, resolve_preprocessing
from tinyint.data.image_input import check_preprocessing
from tinyint.extras.zoo.export import task_of
from tinyint.extras.zoo.registry import MODELS
from tinyint.runtimes.base import TensorSpec
from tinyint.tasks import TASKS, Segmentation
from tinyint.train import TrainingConfig, load_config
from tinyint.train.augment import check_augmentation
from tinyint.train.objective import Objective

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
FAMILIES = [path for path in CONFIGS if path.parent.name != "configs"]


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT / "configs")) for path in paths]


@pytest.fixture(params=FAMILIES, ids=names(FAMILIES))
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def config(path: Path) -> TrainingConfig:
    return load_config(path)


@pytest.mark.parametrize("path", CONFIGS, ids=names(CONFIGS))
def test_it_is_a_config(path: Path) -> None:
    assert load_config(path).data.val is not None


def test_the_network_takes_the_arguments(config: TrainingConfig) -> None:
    entry = MODELS[config.model.source]
    arguments = config.model.arguments
    if entry.text:
        from tinyint.extras.zoo.ernie import ernie_base

        inspect.signature(ernie_base).bind(**arguments)
        return
    with torch.device("meta"):  # shapes alone
        network = entry.builder(in_channels=(config.model.input or (3,))[0], **arguments)
    Objective(config.loss, task_of(network))


def test_data_and_changes_to_them_are_for_the_task(config: TrainingConfig) -> None:
    entry, declared, size = (
        MODELS[config.model.source],
        resolve_preprocessing(config.data.preprocessing, {}),
        config.model.input,
    )
    assert size is not None
    labels = TASKS[entry.task].label_kind
    check_augmentation(config.data.augment, labels, "texts" if entry.text else "images", "the data")
    if entry.text:
        assert isinstance(declared, TextPreprocessing)
        assert (declared.max_length,) == size
        return
    assert isinstance(declared, Preprocessing)
    if declared.size() is not None:
        check_preprocessing(
            declared, TensorSpec(name="input", dtype=np.dtype(np.float32), shape=(None, *size))
        )
    if entry.task == "detection":
        assert declared.crop is None


def test_the_schedule_ends_within_the_run(config: TrainingConfig) -> None:
    assert config.schedule.warmup < config.iters / 5
    assert 0 < config.eval_interval <= config.iters
    assert config.schedule.step < config.iters


def test_the_comment_says_how_to_go_on(path: Path, config: TrainingConfig) -> None:
    comment = "\n".join(
        line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")
    )
    name = path.relative_to(ROOT)
    assert f"tinyint train -c {name}" in comment
    assert f"tinyint qat -c {name} --model-path {config.save_dir}/best_model" in comment
    (calibration,) = re.findall(r"tinyint quantize \S+ -o \S+\s(?:#\s+)?--data (\S+)", comment)
    assert calibration == config.data.train


def test_auxiliary_heads_have_a_weight() -> None:
    for path in FAMILIES:
        config = load_config(path)
        if MODELS[config.model.source].task == Segmentation().task:
            assert "auxiliary" in config.loss.model_fields_set, path
