"""The networks against what their papers and authors publish."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tinyint.errors import ModelError
from tinyint.extras.zoo import MODELS, build, entry, googlenet, mobilenet_v1, mobilenet_v2, resnet50, vgg16
from tinyint.extras.zoo.blocks import divisible

PUBLISHED = {
    "mobilenet_v1": 4_231_976,
    "mobilenet_v2": 3_504_872,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "googlenet": 6_998_552,
}
MACS = {  # millions at 224×224, convolutions and linear layers
    "mobilenet_v1": 569,  # Howard et al., Table 4
    "mobilenet_v2": 300,  # Sandler et al., Table 4
    "resnet34": 3_664,
    "resnet50": 4_089,  # 4.1 billion for version 1.5
    "resnet101": 7_801,
    "vgg16": 15_470,
    "vgg19": 19_632,
    "googlenet": 1_582,
}


def millions_of_macs(model: nn.Module, images: torch.Tensor) -> float:
    total = 0

    def count(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d | nn.Linear):
            total += output[0].numel() * module.weight[0].numel()

    for module in model.modules():
        module.register_forward_hook(count)
    model.eval()(images)
    return total / 1e6


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_multiplications_are_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        model = entry(name).builder()
        images = torch.empty(1, 3, entry(name).size, entry(name).size)
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED[name] == entry(name).parameters
    assert millions_of_macs(model, images) == pytest.approx(MACS[name], rel=0.004)


def test_registry_lists_exactly_these_classifiers() -> None:
    assert {
        name for name, found in MODELS.items() if found.task == "classification" and not found.text
    } == set(PUBLISHED)
    assert all(key == item.name for key, item in MODELS.items())


@pytest.mark.parametrize(("name", "hint"), [("resnet51", "resnet50"), ("mobilenetv2", "mobilenet_v2")])
def test_unknown_name_is_answered_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ModelError, match=hint):
        build(name)


def test_width_classes_and_channels_reach_the_layers() -> None:
    with torch.device("meta"):
        for make in (mobilenet_v1, mobilenet_v2):
            narrow = make(num_classes=7, width=0.25, in_channels=1)
            assert narrow.stem.conv.weight.shape == (8, 1, 3, 3)
            assert narrow(torch.empty(2, 1, 64, 64)).shape == (2, 7)
        assert googlenet(num_classes=5, in_channels=4)(torch.empty(1, 4, 64, 64)).shape == (1, 5)
        assert googlenet(width=0.25).classifier.linear.in_features == 256
        narrow = vgg16(num_classes=7, width=0.25, in_channels=1, size=64)
        assert narrow.features[0].conv.weight.shape == (16, 1, 3, 3)
        assert narrow(torch.empty(2, 1, 64, 64)).shape == (2, 7)


def test_mobilenet_v2_keeps_its_last_layer_wide_when_narrow() -> None:
    with torch.device("meta"):
        assert mobilenet_v2(width=0.5).head.conv.out_channels == 1280
        assert mobilenet_v2(width=1.4).head.conv.out_channels == 1792


def test_resnet_strides_in_the_three_by_three() -> None:
    with torch.device("meta"):
        block = resnet50().stages[1][0]
    assert block.reduce.conv.stride == (1, 1)
    assert block.conv.conv.stride == (2, 2)


def test_resnet_block_starts_near_the_identity() -> None:
    block = resnet50().stages[0][1]
    assert block.expand.norm.weight.unique().tolist() == [0.25]
    assert block.conv.norm.weight.unique().tolist() == [1.0]


@pytest.mark.parametrize(
    ("channels", "expected"), [(32, 32), (11, 16), (12, 16), (18, 24), (19.9, 24), (33.6, 32), (1, 8)]
)
def test_divisible_rounds_to_eights_but_never_ten_percent_down(channels: float, expected: int) -> None:
    assert divisible(channels) == expected
