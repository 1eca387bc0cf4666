"""Training of float and int8 models: one loop, killable and resumable."""

from __future__ import annotations

from importlib.util import find_spec

from tinyint.errors import DependencyError

if find_spec("torch") is None or find_spec("lightning_fabric") is None:
    raise DependencyError(
        'training needs torch and lightning-fabric, which are not installed: run pip install "tinyint[train]"'
    )

from tinyint.train.config import TrainingConfig
from tinyint.train.launch import qat, train
from tinyint.train.reading import config_keys, dump_config, load_config, parse_config
from tinyint.train.trainee import BEST_MODEL
from tinyint.train.watch import Outcome, Status, ValidationResult, Watcher

__all__ = [
    "BEST_MODEL",
    "Outcome",
    "Status",
    "TrainingConfig",
    "ValidationResult",
    "Watcher",
    "config_keys",
    "dump_config",
    "load_config",
    "parse_config",
    "qat",
    "train",
]
