"""The networks by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from tinyint.errors import ModelError, nearest
from tinyint.zoo.googlenet import googlenet
from tinyint.zoo.images import natural_images
from tinyint.zoo.mobilenet_v1 import mobilenet_v1
from tinyint.zoo.mobilenet_v2 import mobilenet_v2
from tinyint.zoo.resnet import resnet50, resnet101
from tinyint.zoo.settle import settle
from tinyint.zoo.vgg import vgg16, vgg19

__all__ = ["MODELS", "Entry", "build", "entry"]

_SETTLING_IMAGES = 16


class Builder(Protocol):
    """Constructs a network with torch's own random weights."""

    def __call__(self, *, num_classes: int = ..., in_channels: int = ...) -> nn.Module: ...


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A network of the zoo: how it is built, the images it is for, what was published about it."""

    name: str
    builder: Builder
    parameters: int  # with 1000 classes and three input channels
    paper: str
    size: int = 224  # height and width of the input


_ENTRIES = (
    Entry(name="mobilenet_v1", builder=mobilenet_v1, parameters=4_231_976, paper="arXiv:1704.04861"),
    Entry(name="mobilenet_v2", builder=mobilenet_v2, parameters=3_504_872, paper="arXiv:1801.04381"),
    Entry(name="resnet50", builder=resnet50, parameters=25_557_032, paper="arXiv:1512.03385"),
    Entry(name="resnet101", builder=resnet101, parameters=44_549_160, paper="arXiv:1512.03385"),
    Entry(name="vgg16", builder=vgg16, parameters=138_357_544, paper="arXiv:1409.1556"),
    Entry(name="vgg19", builder=vgg19, parameters=143_667_240, paper="arXiv:1409.1556"),
    Entry(name="googlenet", builder=googlenet, parameters=6_998_552, paper="arXiv:1409.4842"),
)
MODELS: dict[str, Entry] = {item.name: item for item in _ENTRIES}


def entry(name: str) -> Entry:
    """The entry of that name.

    Raises:
        ModelError: there is none.
    """
    try:
        return MODELS[name]
    except KeyError:
        raise ModelError(f"no network is called {name!r} in the zoo; {nearest(name, MODELS)}") from None


def build(name: str, seed: int = 0, *, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """The network of that name in eval mode, with seeded weights and sane activations.

    Raises:
        ModelError: there is no such network.
    """
    found = entry(name)
    with torch.random.fork_rng(devices=[]):  # construction draws weights that are drawn anew below
        model = found.builder(num_classes=num_classes, in_channels=in_channels)
    images = natural_images(_SETTLING_IMAGES, channels=in_channels, size=found.size, seed=seed)
    return settle(model, torch.from_numpy(images), seed=seed)
