"""Reference networks of the benchmarks, as in their papers, with seeded weights.

They have no trained weights: they serve to measure speed, size, coverage and arithmetic, which depend only on the
architecture and on sane activations. `build` ensures the latter (`tinyint.extras.zoo.settle`).
"""

from __future__ import annotations

from importlib.util import find_spec

from tinyint.errors import DependencyError

if find_spec("torch") is None:
    raise DependencyError(
        'the zoo defines its networks in torch, which is not installed: run pip install "tinyint[zoo]"'
    )

from tinyint.extras.zoo.ann import ANN, ann_resnet50
from tinyint.extras.zoo.bisenetv2 import BiSeNetV2, bisenetv2
from tinyint.extras.zoo.danet import DANet, danet_resnet50
from tinyint.extras.zoo.deeplabv3p import DeepLabV3P, deeplabv3p_resnet50
from tinyint.extras.zoo.dnlnet import DNLNet, dnlnet_resnet50
from tinyint.extras.zoo.emanet import EMANet, emanet_resnet50
from tinyint.extras.zoo.export import export
from tinyint.extras.zoo.gcnet import GCNet, gcnet_resnet50
from tinyint.extras.zoo.googlenet import GoogLeNet, googlenet
from tinyint.extras.zoo.images import natural_images
from tinyint.extras.zoo.mobilenet_v1 import MobileNetV1, mobilenet_v1
from tinyint.extras.zoo.mobilenet_v2 import MobileNetV2, mobilenet_v2
from tinyint.extras.zoo.pspnet import PSPNet, pspnet_resnet50
from tinyint.extras.zoo.registry import MODELS, Entry, build, entry
from tinyint.extras.zoo.resnet import ResNet, resnet34, resnet50, resnet101
from tinyint.extras.zoo.settle import settle
from tinyint.extras.zoo.tokens import token_sequences
from tinyint.extras.zoo.vgg import VGG, vgg16, vgg19
from tinyint.extras.zoo.yolov3 import YOLOv3, yolov3_mobilenet_v1, yolov3_resnet34, yolov3_resnet50vd_dcn

__all__ = [
    "ANN",
    "MODELS",
    "VGG",
    "BiSeNetV2",
    "DANet",
    "DNLNet",
    "DeepLabV3P",
    "EMANet",
    "Entry",
    "GCNet",
    "GoogLeNet",
    "MobileNetV1",
    "MobileNetV2",
    "PSPNet",
    "ResNet",
    "YOLOv3",
    "ann_resnet50",
    "bisenetv2",
    "build",
    "danet_resnet50",
    "deeplabv3p_resnet50",
    "dnlnet_resnet50",
    "emanet_resnet50",
    "entry",
    "export",
    "gcnet_resnet50",
    "googlenet",
    "mobilenet_v1",
    "mobilenet_v2",
    "natural_images",
    "pspnet_resnet50",
    "resnet34",
    "resnet50",
    "resnet101",
    "settle",
    "token_sequences",
    "vgg16",
    "vgg19",
    "yolov3_mobilenet_v1",
    "yolov3_resnet34",
    "yolov3_resnet50vd_dcn",
]
