"""Networks of the zoo by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import nn

from tinyint.errors import DependencyError, ModelError, nearest
from tinyint.extras.zoo.ann import ann_resnet50
from tinyint.extras.zoo.bisenetv2 import bisenetv2
from tinyint.extras.zoo.danet import danet_resnet50
from tinyint.extras.zoo.deeplabv3p import deeplabv3p_resnet50
from tinyint.extras.zoo.dnlnet import dnlnet_resnet50
from tinyint.extras.zoo.emanet import emanet_resnet50
from tinyint.extras.zoo.gcnet import gcnet_resnet50
from tinyint.extras.zoo.googlenet import googlenet
from tinyint.extras.zoo.mobilenet_v1 import mobilenet_v1
from tinyint.extras.zoo.mobilenet_v2 import mobilenet_v2
from tinyint.extras.zoo.pspnet import pspnet_resnet50
from tinyint.extras.zoo.resnet import resnet34, resnet50, resnet101
from tinyint.extras.zoo.samples import samples
from tinyint.extras.zoo.settle import settle
from tinyint.extras.zoo.vgg import vgg16, vgg19
from tinyint.extras.zoo.yolov3 import yolov3_mobilenet_v1, yolov3_resnet34, yolov3_resnet50vd_dcn

__all__ = ["MODELS", "Entry", "build", "entry"]

_SETTLING_SAMPLES, _SETTLING_SIDE = 16, 320


Builder: TypeAlias = Callable[..., nn.Module]
"""Function of `num_classes`, and of `in_channels` for images, that builds a network with torch's random weights."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Network of the zoo: builder, kind of input, published figures."""

    name: str
    builder: Builder
    parameters: int  # with `classes` and three input channels
    paper: str
    task: str = "classification"
    classes: int = 1000  # of the data set that the paper reports on
    size: int = 224  # height and width of the images, or tokens of the text
    text: bool = False

    @property
    def input(self) -> str:
        """Kind of one sample, in words."""
        return f"{self.size} tokens" if self.text else f"3 × {self.size} × {self.size}"


def _detection(name: str, builder: Builder, parameters: int, paper: str) -> Entry:
    """Entry of a detector, with the classes of COCO."""
    return Entry(
        name=name, builder=builder, parameters=parameters, paper=paper, task="detection", classes=80, size=320
    )


def _segmentation(name: str, builder: Builder, parameters: int, paper: str) -> Entry:
    """Entry with the classes of Cityscapes; `parameters` include the auxiliary heads."""
    return Entry(
        name=name,
        builder=builder,
        parameters=parameters,
        paper=paper,
        task="segmentation",
        classes=19,
        size=512,
    )


def _ernie_base(*, num_classes: int = 2, **arguments: Any) -> nn.Module:
    try:
        from tinyint.extras.zoo.ernie import ernie_base
    except ImportError as error:
        raise DependencyError(
            f'ernie_base is built by transformers ({error}): run pip install "tinyint[zoo,text]"'
        ) from error
    return ernie_base(num_classes=num_classes, **arguments)


_ENTRIES = (
    Entry(name="mobilenet_v1", builder=mobilenet_v1, parameters=4_231_976, paper="arXiv:1704.04861"),
    Entry(name="mobilenet_v2", builder=mobilenet_v2, parameters=3_504_872, paper="arXiv:1801.04381"),
    Entry(name="resnet34", builder=resnet34, parameters=21_797_672, paper="arXiv:1512.03385"),
    Entry(name="resnet50", builder=resnet50, parameters=25_557_032, paper="arXiv:1512.03385"),
    Entry(name="resnet101", builder=resnet101, parameters=44_549_160, paper="arXiv:1512.03385"),
    Entry(name="vgg16", builder=vgg16, parameters=138_357_544, paper="arXiv:1409.1556"),
    Entry(name="vgg19", builder=vgg19, parameters=143_667_240, paper="arXiv:1409.1556"),
    Entry(name="googlenet", builder=googlenet, parameters=6_998_552, paper="arXiv:1409.4842"),
    _detection("yolov3_mobilenet_v1", yolov3_mobilenet_v1, 24_571_197, "arXiv:1804.02767"),
    _detection("yolov3_resnet34", yolov3_resnet34, 42_304_829, "arXiv:1804.02767"),
    _detection("yolov3_resnet50vd_dcn", yolov3_resnet50vd_dcn, 45_952_942, "arXiv:1804.02767"),
    _segmentation("ann_resnet50", ann_resnet50, 48_593_286, "arXiv:1908.07678"),
    _segmentation("danet_resnet50", danet_resnet50, 47_520_814, "arXiv:1809.02983"),
    _segmentation("deeplabv3p_resnet50", deeplabv3p_resnet50, 26_714_851, "arXiv:1802.02611"),
    _segmentation("dnlnet_resnet50", dnlnet_resnet50, 50_024_327, "arXiv:2006.06668"),
    _segmentation("emanet_resnet50", emanet_resnet50, 42_349_958, "arXiv:1907.13426"),
    _segmentation("gcnet_resnet50", gcnet_resnet50, 49_630_215, "arXiv:1904.11492"),
    _segmentation("pspnet_resnet50", pspnet_resnet50, 48_975_494, "arXiv:1612.01105"),
    _segmentation("bisenetv2", bisenetv2, 2_508_703, "arXiv:2004.02147"),
    Entry(
        name="ernie_base",
        builder=_ernie_base,
        parameters=99_867_650,
        paper="arXiv:1904.09223",
        classes=2,
        size=128,
        text=True,
    ),
)
MODELS: dict[str, Entry] = {item.name: item for item in _ENTRIES}


def entry(name: str) -> Entry:
    """Entry by name; raises ModelError if there is none."""
    try:
        return MODELS[name]
    except KeyError:
        raise ModelError(f"no network is called {name!r} in the zoo; {nearest(name, MODELS)}") from None


def build(name: str, seed: int = 0, *, num_classes: int | None = None, in_channels: int = 3) -> nn.Module:
    """Network by name, in eval mode, with seeded weights and sane activations.

    It has `num_classes`, by default as many as in its paper. `in_channels`: channels of images. Raises ModelError for
    an unknown name, DependencyError if a package is missing.
    """
    network = entry(name)
    channels = {} if network.text else {"in_channels": in_channels}
    with torch.random.fork_rng(devices=[]):  # the constructor draws weights that are drawn again below
        model = network.builder(num_classes=num_classes or network.classes, **channels)
    size = min(network.size, _SETTLING_SIDE)
    return settle(model, *samples(model, _SETTLING_SAMPLES, size=size, seed=seed), seed=seed)
