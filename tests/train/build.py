"""A network and digits that are small enough to train in a second."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tinyint.extras.demo import demo_data
from tinyint.train import TrainingConfig, parse_config


def network(width: int = 8, dropout: float = 0.1, classes: int = 10) -> nn.Module:
    """(N, 1, 8, 8) → (N, classes), with batch norm and dropout, whose state and chance a resumed run must keep."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(32 * width, classes),
    )


class Words(nn.Module):
    """A classifier of texts: the mean of the words that are there."""

    def __init__(self, classes: int = 3, vocabulary: int = 600, width: int = 16) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.classify = nn.Linear(width, classes)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        there = attention_mask.unsqueeze(-1).to(torch.float32)
        return self.classify((self.words(input_ids) * there).sum(1) / there.sum(1))


class TwoBranches(nn.Module):
    """One branch has no part in the result."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle = nn.Linear(64, 10), nn.Linear(64, 10)

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002
        return self.used(input.flatten(1))


def explosive() -> nn.Module:
    """Its loss is infinite or NaN once its weight has grown."""

    class Explosive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(64, 10)

        def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002
            return torch.exp(self.linear(input.flatten(1)))

    return Explosive()


def write_digits(folder: Path) -> None:
    """train.npz (400 digits, 8×8) and val.npz (150 others), labelled."""
    images, labels = demo_data("test")
    more, theirs = demo_data("calibration")
    images = np.concatenate([images, more])[:, :, 6::12, 6::12]
    labels = np.concatenate([labels, theirs])
    np.savez(folder / "train.npz", input=images[:400], labels=labels[:400])
    np.savez(folder / "val.npz", input=images[400:], labels=labels[400:])


def config(folder: Path, **changes: Any) -> TrainingConfig:
    """Twelve short iterations of `network` in `folder`/out; keys are changed by their names with "__" for dots."""
    base: Mapping[str, Any] = {
        "model": {"source": "tests.train.build:network", "input": [1, 8, 8]},
        "data": {
            "train": str(folder / "train.npz"),
            "val": str(folder / "val.npz"),
            "augment": {"shift": 1, "noise": 0.05},
        },
        "optimizer": {"learning_rate": 0.1},
        "iters": 12,
        "batch_size": 16,
        "save_dir": str(folder / "out"),
        "save_interval": 4,
        "eval_interval": 6,
        "log_interval": 3,
        "accelerator": "cpu",
    }
    return parse_config(base, [f"{key.replace('__', '.')}={value}" for key, value in changes.items()])
