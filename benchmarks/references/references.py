"""The reference models: what each is, the synthetic data that it is trained and tested on, and how long."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODELS = Path(__file__).with_name("models")
CALIBRATION = 300  # samples, the first of the training data, for every tool

TRAINING_SEED, TEST_SEED = 1, 2


@dataclass(frozen=True)
class Data:
    """Synthetic data, in two folders: one to train on, and one of another seed to test with."""

    family: str
    train: int
    val: int
    test: int
    size: int | None
    train_spec: str
    val_spec: str

    @property
    def test_spec(self) -> str:
        return self.val_spec.replace(self.family, f"{self.family}-test", 1)

    def make(self, folder: Path) -> None:
        """Writes both folders, unless they are there."""
        for name, seed, train, val in (
            (self.family, TRAINING_SEED, self.train, self.val),
            (f"{self.family}-test", TEST_SEED, 36, self.test),
        ):
            if not (folder / name).exists():
                size = [] if self.size is None else ["--size", str(self.size)]
                counts = ["--seed", str(seed), "--train", str(train), "--val", str(val)]
                command = [
                    sys.executable,
                    "-m",
                    "tinyint.cli",
                    "data",
                    "make",
                    self.family,
                    str(folder / name),
                ]
                subprocess.run([*command, *counts, *size], check=True)


GLYPHS = Data("glyphs", 16_000, 1_000, 3_000, None, "glyphs/train", "glyphs")
SCENES = Data(
    "scenes",
    2_500,
    300,
    2_000,
    256,
    "scenes/annotations/instances_train.json",
    "scenes/annotations/instances_val.json",
)
FUNDUS = Data("fundus", 1_200, 150, 2_000, 160, "fundus:train_list.txt", "fundus:val_list.txt")
SENTENCES = Data("sentences", 24_000, 1_000, 3_000, None, "sentences/train.tsv", "sentences/val.tsv")


@dataclass(frozen=True)
class Reference:
    """`changes` are to the config of the made family, `configs/made/FAMILY.yaml`; `iters` of the float training.

    `float_layers`: the pattern of those that quantization and QAT are also tried without, where there are such.
    QAT, and the float training that is its control, take a tenth of the iterations at a tenth of the rate.
    """

    data: Data
    metric: str
    rate: float
    iters: int
    changes: tuple[str, ...] = field(default=())
    float_layers: str | None = None

    def overrides(self) -> list[str]:
        data = [f"data.train={self.data.train_spec}", f"data.val={self.data.val_spec}"]
        return [*data, *self.changes, f"optimizer.learning_rate={self.rate}", f"iters={self.iters}"]

    def tuning(self) -> list[str]:
        return [
            f"optimizer.learning_rate={self.rate / 10}",
            f"iters={self.iters // 10}",
            "schedule.warmup=20",
        ]


def _classifier(source: str, arguments: str, rate: float = 0.004, iters: int = 2_500) -> Reference:
    model = (f"model.source={source}", f"model.arguments={{num_classes: 36, {arguments}}}")
    return Reference(GLYPHS, "top1", rate, iters, model)


def _segmenter(source: str, width: float, iters: int) -> Reference:
    model = (f"model.source={source}", f"model.arguments={{num_classes: 4, width: {width}}}")
    return Reference(FUNDUS, "miou", 0.003, iters, model)


REFERENCES = {
    "mobilenet_v1": _classifier("mobilenet_v1", "width: 0.25"),
    "mobilenet_v2": _classifier("mobilenet_v2", "width: 0.35"),
    "resnet50": _classifier("resnet50", "width: 0.125"),
    "vgg16": _classifier("vgg16", "width: 0.125, size: 64", rate=0.001),
    "googlenet": _classifier("googlenet", "width: 0.25", rate=0.001, iters=5_000),
    "yolov3_mobilenet_v1": Reference(
        SCENES,
        "AP",
        0.002,
        4_000,
        (f"model.pretrained={MODELS / 'mobilenet_v1.onnx'}", "model.arguments.neck=0.125"),
        float_layers="*/head/*",
    ),
    "bisenetv2": _segmenter("bisenetv2", 0.25, 3_000),
    "pspnet_resnet50": _segmenter("pspnet_resnet50", 0.125, 1_000),
    "ernie": Reference(SENTENCES, "top1", 0.001, 4_000),
}
