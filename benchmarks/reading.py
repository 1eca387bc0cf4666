"""Samples a second: images that are decoded, and the data file of the same ones.

python benchmarks/reading.py --images 2000

The images are JPEGs of 500×375 pixels and some 90 KB, as ImageNet's are: smooth textures with noise. Each figure is the
best of three passes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import store
from PIL import Image

import tinyint
from tinyint.data import open_data
from tinyint.runtimes.base import TensorSpec
from tinyint.runtimes.host import host

IMAGENET = tinyint.Preprocessing(
    resize=256, crop=(224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)
INPUT = TensorSpec(name="input", dtype=np.dtype("float32"), shape=(None, 3, 224, 224))
PASSES = 3


def draw(folder: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    folder.mkdir()
    for i in range(count):
        texture = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        pixels = np.asarray(texture.resize((500, 375), Image.Resampling.BICUBIC)).astype(int)
        noisy = pixels + rng.normal(0, 12, (375, 500, 1)).astype(int)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{i:05}.jpg", quality=92)


def reading(data: Path) -> float:
    """Samples a second."""
    best = 0.0
    for _ in range(PASSES):
        start = time.perf_counter()
        count = sum(1 for _ in open_data(data, [INPUT], IMAGENET))
        best = max(best, count / (time.perf_counter() - start))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    count = parser.parse_args().images
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        images = Path(scratch, "images")
        draw(images, count)
        data = tinyint.Samples(images, preprocessing=IMAGENET)
        rows.append({"what": "JPEG files, decoded", "samples_per_second": reading(images)})
        for values in ("uint8", "float32"):
            file = Path(scratch, f"{values}.bin")
            for workers in sorted({1, host().cores}):
                start = time.perf_counter()
                tinyint.preprocess(data, file, values=values, workers=workers)
                rate = count / (time.perf_counter() - start)
                rows.append({"what": f"writing {values}, {workers} threads", "samples_per_second": rate})
            rows.append({"what": f"data file, {values}", "samples_per_second": reading(file)})
    for row in rows:
        print(f"{row['what']:32} {row['samples_per_second']:8.0f} samples/s")
    store("reading", [{"images": count, **row} for row in rows], ("images", "what"))


if __name__ == "__main__":
    main()
