"""The models that are measured, and inputs for them: the zoo with seeded weights, and MiniLM with its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

ZOO = ("mobilenet_v1", "mobilenet_v2", "resnet50", "resnet101", "vgg16", "vgg19", "googlenet")
NAMES = (*ZOO, "minilm")

Feeds = dict[str, np.ndarray]


def model_file(name: str, folder: Path) -> Path:
    """The float ONNX file, exported into `folder` unless it is there."""
    path = folder / f"{name}.onnx"
    if not path.exists():
        if name == "minilm":
            from minilm import export_minilm

            export_minilm(path)
        else:
            from tinyint.extras.zoo import export

            export(name, path)
    return path


def inputs(name: str, count: int) -> list[Feeds]:
    """`count` samples: images with the spectrum of natural ones, or sentences padded to 64 tokens."""
    if name == "minilm":
        from minilm import sentences, tokenize

        arrays = tokenize(sentences(count), length=64)
        return [{key: array[i : i + 1] for key, array in arrays.items()} for i in range(count)]
    from tinyint.extras.zoo.images import natural_images

    images = natural_images(count)
    return [{"input": images[i : i + 1]} for i in range(count)]
