"""Accuracy of a network that quantizes badly: float, post-training, trained with fake quantization, and a control.

    python benchmarks/accuracy.py digits /tmp/accuracy
    tinyint data make glyphs /tmp/glyphs --seed 0 --train 12000 --val 3000
    python benchmarks/accuracy.py glyphs /tmp/accuracy --data /tmp/glyphs

A MobileNetV2 with Relu in place of Relu6 learns in float. Then every channel between two layers is multiplied by a
random power of two, and the weights that read it are divided by it: the same function, bit for bit, which one scale for
all weights of a layer no longer fits. In another copy, half of the channels that the projections read are raised, and
few codes are left to what varies. Networks trained in int8 stand beside a float network that was trained on for as
long, with the same data, schedule and learning rate, from the weights as they were before (the easier start).

The test images take no part in any choice: every training ends with its last weights. A run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from hostile import make_hostile, make_raised
from machine import store
from torch import nn

import tinyint
from tinyint.data import Preprocessing, input_specs, open_data
from tinyint.extras import demo
from tinyint.extras.zoo.mobilenet_v2 import MobileNetV2
from tinyint.graph.io import load_model, save_model
from tinyint.graph.prepare import prepare
from tinyint.tasks.paired import mcnemar
from tinyint.train import TrainingConfig, qat, train

TARGET, SPREAD, HEIGHT, SEED = "x86-vnni", 2.0, 100.0, 0
SMALL = [
    (1, 16, 1, 1),
    (4, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 3, 1),
]  # stages for images of 64×64: 8×8 in the end
PER_TENSOR = "weights.granularity=per_tensor"
EQUALIZE, ABSORB, BOTH = "steps=[equalize]", "steps=[absorb_bias]", "steps=[equalize, absorb_bias]"


def network(**arguments: Any) -> nn.Module:
    """The zoo's MobileNetV2 with Relu, through which a factor passes."""
    module = MobileNetV2(**arguments)
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU6):
                setattr(parent, name, nn.ReLU(inplace=True))
    return module.to(memory_format=torch.channels_last)  # twice as fast here


def digits_train() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The 1347 digits that are not among the 450 of the demo's test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images, _, labels, _ = train_test_split(
        digits.images.astype(np.uint8), digits.target, test_size=450, stratify=digits.target, random_state=0
    )
    yield demo.upscale(images)[..., ::2, ::2], labels.astype(np.int64)


def digits_test() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    images, labels = demo.demo_data("test")
    yield images[..., ::2, ::2], labels


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A data set and how long a network learns it: `iters` in float, `more` in int8 and for the control."""

    train: str
    test: str
    preprocessing: dict[str, Any] | None
    arguments: dict[str, Any]
    input: tuple[int, int, int]
    augment: dict[str, Any]
    iters: int
    more: int
    rate: float
    rate_more: float


def setting(name: str, data: Path | None) -> Setting:
    if name == "digits":
        return Setting(
            train="accuracy:digits_train",
            test="accuracy:digits_test",
            preprocessing=None,
            arguments={"num_classes": 10, "width": 0.25, "in_channels": 1},
            input=(1, 48, 48),
            augment={"shift": 3, "noise": 0.1},
            iters=1200,
            more=400,
            rate=4e-3,
            rate_more=4e-4,
        )
    if data is None:
        raise SystemExit("glyphs need --data, the directory that `tinyint data make glyphs` wrote")
    return Setting(
        train=str(data / "train"),
        test=str(data / "val_list.txt"),
        preprocessing={"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
        arguments={"num_classes": 36, "width": 0.5, "rows": SMALL, "features": 384},
        input=(3, 64, 64),
        augment={"shift": 4},
        iters=1200,
        more=400,
        rate=3e-3,
        rate_more=3e-4,
    )


class Experiment:
    """One setting, in a directory where all that was trained and predicted is kept."""

    def __init__(self, name: str, folder: Path, data: Path | None) -> None:
        self.name, self.folder, self.setting = name, folder / name, setting(name, data)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.right: dict[str, np.ndarray] = {}

    def config(self, run: str, source: Any, *, iters: int, rate: float, **others: Any) -> TrainingConfig:
        given = self.setting
        keys = {
            "model": source,
            "data": {"train": given.train, "preprocessing": given.preprocessing, "augment": given.augment},
            "optimizer": {"name": "adamw", "learning_rate": rate, "weight_decay": 0.02},
            "schedule": {"name": "cosine", "warmup": iters // 20},
            "loss": {"label_smoothing": 0.1},
            "iters": iters,
            "batch_size": 64,
            "save_dir": str(self.folder / run),
            "save_interval": 200,
            "eval_interval": 0,
            "seed": SEED,
            **others,
        }
        return TrainingConfig.model_validate(keys)

    def float_network(self) -> Path:
        """The trained network, prepared, so that all that follows starts from the same graph."""
        path = self.folder / "float.onnx"
        if not path.exists():
            given = self.setting
            source = {"source": "accuracy:network", "arguments": given.arguments, "input": given.input}
            train(
                self.config("float", source, iters=given.iters, rate=given.rate), resume=True, watcher=Log()
            )
            save_model(prepare(load_model(self.folder / "float" / "best_model" / "model.onnx")), path)
        return path

    def hostile_network(self) -> Path:
        path = self.folder / "hostile.onnx"
        if not path.exists():
            save_model(make_hostile(load_model(self.float_network()), SPREAD, SEED), path)
        return path

    def raised_network(self) -> Path:
        path = self.folder / "raised.onnx"
        if not path.exists():
            save_model(make_raised(load_model(self.float_network()), HEIGHT, SEED), path)
        return path

    def control(self) -> Path:
        """The float network, trained on for as long as the int8 ones."""
        config = self.config(
            "control", str(self.float_network()), iters=self.setting.more, rate=self.setting.rate_more
        )
        train(config, resume=True, watcher=Log())
        return self.folder / "control" / "best_model" / "model.onnx"

    def trained(self, run: str, model: Path, *changes: str, **training: Any) -> Path:
        quantization = {"set": list(changes), "target": TARGET, "training": training}
        config = self.config(
            run,
            str(model),
            iters=self.setting.more,
            rate=self.setting.rate_more,
            quantization=quantization,
        )
        qat(config, resume=True, watcher=Log())
        return self.folder / run / "best_model" / "model.onnx"

    def quantized(self, model: Path, *changes: str) -> ir.Model:
        given = self.setting
        return tinyint.quantize(
            model,
            tinyint.Samples(given.train, preprocessing=self.preprocessing()),
            target=TARGET,
            recipe=tinyint.Recipe.load("default").with_settings(changes),
            run=tinyint.Run(verify=False),
        ).model

    def preprocessing(self) -> Preprocessing | None:
        given = self.setting.preprocessing
        return None if given is None else Preprocessing.model_validate(given)

    def judge(self, label: str, make: Callable[[], Path | ir.Model]) -> None:
        """Which test images the model, run by its runtime, gives the right class; kept in a file."""
        kept = self.folder / f"{label}.right.npy"
        if not kept.exists():
            np.save(kept, self.predictions(make()))
        self.right[label] = np.load(kept)
        print(f"{self.name}: {label}: {self.right[label].mean():.2%}", flush=True)

    def predictions(self, model: Path | ir.Model) -> np.ndarray:
        session = tinyint.open(model)
        specs = input_specs(load_model(self.float_network()))
        right = []
        for sample in open_data(self.setting.test, specs, self.preprocessing()):
            (logits,) = session.run(sample.inputs).values()
            right.append(int(logits.argmax()) == int(np.asarray(sample.label)))
        return np.array(right)


class Log:
    """Training told in a line now and then."""

    def notice(self, message: str) -> None:
        print(f"note: {message}", flush=True)

    def status(self, status: Any) -> None:
        if status.iteration % 100 == 0:
            print(
                f"{status.iteration}/{status.iters} loss {status.loss:.4f}, {status.seconds_left:.0f} s left",
                flush=True,
            )

    def evaluation(self, evaluation: Any) -> None:
        print(evaluation, flush=True)

    def close(self) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=["digits", "glyphs"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    it = Experiment(options.name, options.folder, options.data)
    plain, hostile, raised = it.float_network, it.hostile_network, it.raised_network
    it.judge("float", plain)
    it.judge("int8 per channel", lambda: it.quantized(plain()))
    it.judge("int8 per tensor", lambda: it.quantized(plain(), PER_TENSOR))
    it.judge("int8 per channel, equalized", lambda: it.quantized(plain(), EQUALIZE))
    it.judge("int8 per tensor, equalized", lambda: it.quantized(plain(), PER_TENSOR, EQUALIZE))
    it.judge("hostile float", hostile)
    it.judge("hostile int8 per channel", lambda: it.quantized(hostile()))
    it.judge("hostile int8 per tensor", lambda: it.quantized(hostile(), PER_TENSOR))
    it.judge("hostile int8 per channel, equalized", lambda: it.quantized(hostile(), EQUALIZE))
    it.judge("hostile int8 per tensor, equalized", lambda: it.quantized(hostile(), PER_TENSOR, EQUALIZE))
    it.judge(
        "hostile int8 per tensor, equalized, absorbed", lambda: it.quantized(hostile(), PER_TENSOR, BOTH)
    )
    it.judge("int8 per channel, absorbed", lambda: it.quantized(plain(), ABSORB))
    it.judge("raised float", raised)
    it.judge("raised int8 per channel", lambda: it.quantized(raised()))
    it.judge("raised int8 per channel, absorbed", lambda: it.quantized(raised(), ABSORB))
    it.judge("control", it.control)
    it.judge("hostile trained, equalized", lambda: it.trained("equalized", hostile(), PER_TENSOR, EQUALIZE))
    it.judge("hostile trained", lambda: it.trained("plain", hostile(), PER_TENSOR))
    control = it.right["control"]
    rows = [
        {
            "data": it.name,
            "model": label,
            "test_samples": right.size,
            "top1": round(float(right.mean()), 4),
            "over_control": round(float(right.mean() - control.mean()), 4),
            "p": float(f"{mcnemar(right, control):.3g}"),
        }
        for label, right in it.right.items()
    ]
    print(json.dumps(rows, indent=1))
    store("accuracy", rows, ("data", "model"))


if __name__ == "__main__":
    main()
