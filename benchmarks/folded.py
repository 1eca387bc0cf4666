"""A decoded image to its label: an int8 model that takes pixels beside one that takes preprocessed images.

python benchmarks/folded.py
python benchmarks/folded.py --resize

The image is decoded, resized and cropped: 224×224 pixels in uint8, batch 1. Either model is the same network, by the
same recipe and calibration. Before the one that takes preprocessed images, mean and std are applied by tinyint, from
its table of 256 values a channel, or as they are usually written in NumPy, in float32. All ways are timed in turn in
one process on one thread, in processor time, which other work on the machine does not count in; what is stored is the
median of the quotients, round by round. With `--resize`, the image is of 375×500 pixels, as Pillow has it when it is
decoded: a model that resizes and crops in its graph (shorter side 256, 224×224, bilinear, on ONNX Runtime, since
OpenVINO has no antialias) is beside those for which Pillow does it. The weights of MobileNets are random, those of
EfficientNet-Lite0 are trained (`pretrained/efficientnet_lite0.py`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from machine import store
from models import model_file
from PIL import Image

import tinyint
from tinyint.runtimes import get_runtime
from tinyint.targets import get_target

MODELS = ("mobilenet_v1", "mobilenet_v2", "efficientnet_lite0")
RUNTIMES = ("onnxruntime", "openvino")
IMAGENET = tinyint.Preprocessing(resize=(224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
LITE = tinyint.Preprocessing(resize=(224, 224), scale=1.0, mean=(127.0,), std=(128.0,))
WARMUP = 10
LARGE = (375, 500)  # height and width

Label = Callable[[], int]


def images(count: int) -> np.ndarray:
    from tinyint.extras.zoo.images import natural_images

    found = natural_images(count)
    low, high = found.min((1, 2, 3), keepdims=True), found.max((1, 2, 3), keepdims=True)
    return np.rint((found - low) / (high - low) * 255).astype(np.uint8).transpose(0, 2, 3, 1)


def float_file(name: str, folder: Path) -> Path:
    if name != "efficientnet_lite0":
        return model_file(name, folder)
    sys.path.insert(0, str(Path(__file__).with_name("pretrained")))
    from efficientnet_lite0 import export

    path = folder / f"{name}.onnx"
    return path if path.exists() else export(path)


def large_images(count: int) -> list[Image.Image]:
    from tinyint.extras.zoo.images import natural_images

    found = natural_images(count, size=LARGE[1])[:, :, : LARGE[0]]
    low, high = found.min((1, 2, 3), keepdims=True), found.max((1, 2, 3), keepdims=True)
    pixels = np.rint((found - low) / (high - low) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    return [Image.fromarray(each) for each in pixels]


def in_numpy(declared: tinyint.Preprocessing) -> Callable[[np.ndarray], np.ndarray]:
    scale, mean, std = (np.array(v, np.float32) for v in (declared.scale, declared.mean, declared.std))
    return lambda image: np.ascontiguousarray(
        ((image.astype(np.float32) * scale - mean) / std).transpose(2, 0, 1)
    )


def ways(
    files: dict[str, Path], runtime: str, declared: tinyint.Preprocessing, image: np.ndarray
) -> dict[str, Label]:
    sessions = {name: get_runtime(runtime).open(path, threads=1) for name, path in files.items()}
    (spec,) = sessions["outside"].inputs
    numpy = in_numpy(declared)

    def label(session: str, made: np.ndarray) -> int:
        (logits,) = sessions[session].run({spec.name: made[None]}).values()
        return int(logits.argmax())

    return {
        "folded": lambda: label("folded", image),
        "tinyint": lambda: label("outside", declared.scaled(image)),
        "numpy": lambda: label("outside", numpy(image)),
    }


def resizing_ways(
    files: dict[str, Path], declared: tinyint.Preprocessing, image: Image.Image
) -> dict[str, Label]:
    sessions = {name: get_runtime("onnxruntime").open(path, threads=1) for name, path in files.items()}
    (spec,) = sessions["outside"].inputs
    numpy = in_numpy(declared)

    def label(session: str, made: np.ndarray) -> int:
        (logits,) = sessions[session].run({spec.name: made[None]}).values()
        return int(logits.argmax())

    return {
        "inside": lambda: label("inside", np.asarray(image)),
        "folded": lambda: label("folded", np.asarray(declared.place(image))),
        "tinyint": lambda: label("outside", declared.pixels(declared.place(image))),
        "numpy": lambda: label("outside", numpy(np.asarray(declared.place(image)))),
    }


def timed(found: dict[str, Label], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(WARMUP + rounds):
        for name, label in found.items():
            start = time.process_time()
            label()
            times[name].append((time.process_time() - start) * 1e3)
    return {name: each[WARMUP:] for name, each in times.items()}


def quantized(
    source: Path, runtime: str, declared: tinyint.Preprocessing, floats: np.ndarray, foldings: dict[str, Any]
) -> dict[str, Path]:
    files = {}
    for name, folding in foldings.items():
        files[name] = source.with_suffix(f".{runtime}.{name}.onnx")
        tinyint.quantize(
            source,
            tinyint.Samples(floats, preprocessing=declared),
            output=files[name],
            recipe={"fold_preprocessing": folding},
            target=None if runtime == "onnxruntime" else get_target("openvino").name,
            run=tinyint.Run(verify=False),
        )
    return files


def rows_of(name: str, folder: Path, rounds: int) -> list[dict[str, Any]]:
    declared = LITE if name == "efficientnet_lite0" else IMAGENET
    pixels, rows = images(16), []
    for runtime in RUNTIMES:
        floats = np.stack([declared.scaled(image) for image in pixels])
        files = quantized(
            float_file(name, folder), runtime, declared, floats, {"outside": False, "folded": True}
        )
        times = timed(ways(files, runtime, declared, pixels[0]), rounds)
        rows += [{"runtime": runtime, **row} for row in compared(name, times, "folded")]
    return rows


def resizing_rows(name: str, folder: Path, rounds: int) -> list[dict[str, Any]]:
    declared = (LITE if name == "efficientnet_lite0" else IMAGENET).changed(resize=256, crop=224)
    images = large_images(16)
    floats = np.stack([declared.apply(image) for image in images])
    foldings = {"outside": False, "folded": True, "inside": "resize"}
    files = quantized(float_file(name, folder), "onnxruntime", declared, floats, foldings)
    return compared(name, timed(resizing_ways(files, declared, images[0]), rounds), "inside")


def compared(name: str, times: dict[str, list[float]], base: str) -> list[dict[str, Any]]:
    rows = []
    for way, each in times.items():
        ratio = median(a / b for a, b in zip(each, times[base], strict=True))
        rows.append(
            {
                "model": name,
                "way": way,
                "median_ms": median(each),
                f"ratio_of_{base}": ratio,
                "rounds": len(each),
            }
        )
        print(f"{name} {way}: {median(each):.2f} ms, {ratio:.3f} of {base}", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument(
        "--resize", action="store_true", help="from an image of 375×500, with resize and crop"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.models:
            if options.resize:
                store("folded_resize", resizing_rows(name, Path(scratch), options.rounds), ("model", "way"))
            else:
                store("folded", rows_of(name, Path(scratch), options.rounds), ("model", "runtime", "way"))


if __name__ == "__main__":
    main()
