"""Trains the network of `tinyint demo` and writes it, its images and the result.

    nice python benchmarks/demo/train_digits.py

A MobileNetV2 (ReLU6, residuals, linear bottlenecks) of a few stages learns scikit-learn's handwritten digits, upscaled
from 8×8. A quarter of the images is held out for the test and takes no part in any choice: the schedule is fixed and
the last weights are the ones shipped. The calibration images are training images. The split is by image, stratified by
digit; the data set doesn't tell which person wrote a digit, so writers occur on both sides.

Needs the extra `test` (torch, scikit-learn). It took ten minutes on two cores that others used as well.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional

from tinyint.extras import demo, zoo
from tinyint.extras.zoo.mobilenet_v2 import MobileNetV2
from tinyint.graph.io import atomic_write

ROWS = ((1, 16, 1, 1), (4, 24, 2, 1), (6, 32, 3, 2), (6, 64, 3, 2))
FEATURES = 384
STAGES = ((48, 36), (96, 8))  # size of the images, epochs: the first at a quarter of the cost
BATCH = 64
PEAK_RATE = 4e-3
CALIBRATION, TEST = 100, 450
HERE = Path(__file__).parent


def augment(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Rotate, scale, shear, shift, and change the contrast of images (N, 1, H, W); add noise; resample to `size`."""
    count = len(images)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator) * (high - low) + low

    angle, scale, shear = uniform(-0.25, 0.25), uniform(0.85, 1.2), uniform(-0.15, 0.15)
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    rows = torch.stack((cosine, shear - sine, sine, cosine), 1).reshape(count, 2, 2)
    theta = torch.cat((rows, uniform(-0.15, 0.15, 2, 1)), 2)
    grid = functional.affine_grid(theta, [count, 1, size, size], align_corners=False)
    moved = functional.grid_sample(images + 1, grid, align_corners=False) - 1  # paper outside
    contrast = uniform(0.8, 1.1, 1, 1, 1)
    noise = torch.randn(moved.shape, generator=generator) * uniform(0, 0.15, 1, 1, 1)
    return (moved + 1) * contrast - 1 + noise


def train(model: nn.Module, images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """AdamW over one cycle of the learning rate; returns the model in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    per_epoch = math.ceil(len(images) / BATCH)
    steps = per_epoch * sum(epochs for _, epochs in STAGES)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps, pct_start=0.2)
    model.train().to(memory_format=torch.channels_last)
    for size, epochs in STAGES:
        for epoch in range(epochs):
            began, total = time.perf_counter(), 0.0
            for chosen in torch.randperm(len(images), generator=generator).split(BATCH):
                batch = augment(images[chosen], size, generator).to(memory_format=torch.channels_last)
                loss = functional.cross_entropy(model(batch), labels[chosen], label_smoothing=0.1)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                total += loss.item() * len(chosen)
            seconds = time.perf_counter() - began
            print(
                f"{size}x{size} epoch {epoch + 1}/{epochs}: loss {total / len(images):.4f}, {seconds:.1f} s",
                flush=True,
            )
    return model.eval().to(memory_format=torch.contiguous_format)


def write_data(folder: Path, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split the data, write calibration and test images; returns the training images (uint8, 8×8) and labels."""
    digits = load_digits()
    images, labels = digits.images.astype(np.uint8), digits.target.astype(np.uint8)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels, test_size=TEST, stratify=labels, random_state=seed
    )
    _, some_x, _, some_y = train_test_split(
        train_x, train_y, test_size=CALIBRATION, stratify=train_y, random_state=seed
    )
    with atomic_write(folder / demo.DATA_FILE) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file, calibration_images=some_x, calibration_labels=some_y, test_images=test_x, test_labels=test_y
        )
    return train_x, train_y


def accuracy(path: Path) -> float:
    """Share of the shipped test images that the shipped model gets right on ONNX Runtime."""
    images, labels = demo.demo_data("test")
    (logits,) = onnxruntime.InferenceSession(path).run(None, {"input": images})
    return float((logits.argmax(1) == labels).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    began = time.perf_counter()
    torch.manual_seed(seed)
    path = demo.demo_model_path()
    images, labels = write_data(path.parent, seed)
    model = MobileNetV2(10, in_channels=1, rows=ROWS, features=FEATURES)
    train(model, torch.from_numpy(demo.upscale(images)), torch.from_numpy(labels.astype(np.int64)), seed)
    zoo.export(model, path, size=demo.SIZE)
    result = {
        "command": f"python benchmarks/demo/train_digits.py --seed {seed}",
        "date": datetime.now(UTC).date().isoformat(),
        "seed": seed,
        "test_accuracy": accuracy(path),
        "images": {"train": len(images), "calibration": CALIBRATION, "test": TEST},
        "parameters": sum(p.numel() for p in model.parameters()),
        "model_bytes": path.stat().st_size,
        "seconds": round(time.perf_counter() - began),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    (HERE / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
