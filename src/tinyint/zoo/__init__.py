"""The reference networks that tinyint is measured on, as in their papers, with seeded weights.

They have no trained weights: what they are for is speed, size, coverage and arithmetic, which depend on the
architecture and on sane activations only. `build` gives the latter: see `tinyint.zoo.settle`.
"""

from __future__ import annotations

from importlib.util import find_spec

from tinyint.errors import DependencyError

if find_spec("torch") is None:
    raise DependencyError(
        'the zoo defines its networks in torch, which is not installed: run pip install "tinyint[zoo]"'
    )

from tinyint.zoo.export import export
from tinyint.zoo.googlenet import GoogLeNet, googlenet
from tinyint.zoo.images import natural_images
from tinyint.zoo.mobilenet_v1 import MobileNetV1, mobilenet_v1
from tinyint.zoo.mobilenet_v2 import MobileNetV2, mobilenet_v2
from tinyint.zoo.registry import MODELS, Entry, build, entry
from tinyint.zoo.resnet import ResNet, resnet50, resnet101
from tinyint.zoo.settle import settle
from tinyint.zoo.vgg import VGG, vgg16, vgg19

__all__ = [
    "MODELS",
    "VGG",
    "Entry",
    "GoogLeNet",
    "MobileNetV1",
    "MobileNetV2",
    "ResNet",
    "build",
    "entry",
    "export",
    "googlenet",
    "mobilenet_v1",
    "mobilenet_v2",
    "natural_images",
    "resnet50",
    "resnet101",
    "settle",
    "vgg16",
    "vgg19",
]
