"""Training curves for TensorBoard, as a watcher that passes everything on."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tinyint.errors import DependencyError
from tinyint.train.watch import Status, ValidationResult, Watcher

__all__ = ["Curves", "require_tensorboard"]


def require_tensorboard() -> None:
    """Raises DependencyError if the package is missing."""
    if find_spec("tensorboard") is None:
        raise DependencyError(
            'curves need tensorboard, which is not installed: run pip install "tinyint[train]"'
        )


class Curves:
    """Writes loss, learning rate, speed and metric to `directory`.

    The entries from `start` on are replaced.
    """

    def __init__(self, watcher: Watcher, directory: Path, start: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import, and seldom wanted

        self._watcher = watcher
        self._writer: Any = SummaryWriter(directory, purge_step=start + 1)

    def notice(self, message: str) -> None:
        self._watcher.notice(message)

    def status(self, status: Status) -> None:
        self._watcher.status(status)
        self._writer.add_scalar("train/loss", status.loss, status.iteration)
        self._writer.add_scalar("train/learning_rate", status.learning_rate, status.iteration)
        self._writer.add_scalar("train/samples_per_second", status.samples_per_second, status.iteration)

    def evaluation(self, evaluation: ValidationResult) -> None:
        self._watcher.evaluation(evaluation)
        self._writer.add_scalar("val/loss", evaluation.loss, evaluation.iteration)
        self._writer.add_scalar(f"val/{evaluation.metric}", evaluation.value, evaluation.iteration)

    def close(self) -> None:
        self._watcher.close()
        self._writer.close()
