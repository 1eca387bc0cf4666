"""For each family a few made samples, and a config of a network that learns them by heart in seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tinyint.extras.synthetic import make

Change = Callable[[Path], None]


@dataclass(frozen=True, kw_only=True)
class Toy:
    """`samples` of a synthetic `family`, trained on and measured with alike; `data` names them within their folder.

    `model`, `preprocessing` and `run` are keys of the config; `metric` is that of the task which decides.
    """

    family: str
    samples: int
    size: int | None
    data: str
    task: str
    metric: str
    model: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    run: Mapping[str, Any]

    def write(self, root: Path) -> Path:
        """Makes the data, and the config with paths relative to `root`; returns the path of the config."""
        make(self.family, root / self.family, seed=1, train=self.samples, val=0, size=self.size)
        path = root / f"{self.family}.yaml"
        path.write_text(yaml.safe_dump(self.config(), sort_keys=False), encoding="utf-8")
        return path

    @property
    def spec(self) -> str:
        """The data as `--data` takes them."""
        return f"{self.family}{self.data}"

    def config(self) -> dict[str, Any]:
        return {
            "model": dict(self.model),
            "data": {"train": self.spec, "val": self.spec, "preprocessing": dict(self.preprocessing)},
            "save_dir": f"{self.family}-float",
            "save_interval": 0,
            "eval_interval": 0,
            "accelerator": "cpu",
            **self.run,
        }


_SCALED = {"scale": "1/255", "mean": 0.5, "std": 0.25}
_TOYS = (
    Toy(
        family="glyphs",
        samples=36,
        size=None,
        data="/train",
        task="classification",
        metric="top1",
        model={
            "source": "mobilenet_v1",
            "arguments": {"num_classes": 36, "width": 0.25},
            "input": [3, 32, 32],
        },
        preprocessing={"resize": [32, 32], **_SCALED},
        run={"optimizer": {"name": "adamw", "learning_rate": 0.01}, "iters": 80, "batch_size": 36},
    ),
    Toy(
        family="scenes",
        samples=6,
        size=128,
        data="/annotations/instances_train.json",
        task="detection",
        metric="AP50",
        model={
            "source": "yolov3_mobilenet_v1",
            "arguments": {
                "num_classes": 8,
                "width": 0.125,
                "anchors": [[[60, 60]], [[30, 30]], [[12, 12]]],
            },
            "input": [3, 96, 96],
        },
        preprocessing={"resize": [96, 96], **_SCALED},
        run={"optimizer": {"name": "adamw", "learning_rate": 0.005}, "iters": 120, "batch_size": 6},
    ),
    Toy(
        family="streets",
        samples=4,
        size=None,
        data=":train",
        task="segmentation",
        metric="miou",
        model={
            "source": "bisenetv2",
            "arguments": {"num_classes": 19, "width": 0.25},
            "input": [3, 64, 128],
        },
        preprocessing={"resize": [64, 128], **_SCALED},
        run={
            "optimizer": {"name": "adamw", "learning_rate": 0.01},
            "loss": {"auxiliary": 1.0},
            "iters": 60,
            "batch_size": 4,
        },
    ),
    Toy(
        family="sentences",
        samples=24,
        size=None,
        data="/train.tsv",
        task="classification",
        metric="top1",
        model={
            "source": "ernie_base",
            "arguments": {
                "num_classes": 3,
                "layers": 1,
                "hidden": 32,
                "heads": 2,
                "vocabulary": 512,
                "positions": 32,
            },
            "input": [32],
        },
        preprocessing={"tokenizer": "vocab.txt", "max_length": 32},
        run={"optimizer": {"name": "adamw", "learning_rate": 0.005}, "iters": 60, "batch_size": 24},
    ),
)
TOYS = {toy.family: toy for toy in _TOYS}
