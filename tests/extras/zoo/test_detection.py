"""YOLOv3 on its three backbones: against what is published, and the whole way to int8 at small size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

import tinyint
from tests.extras.zoo.test_networks import millions_of_macs
from tests.processor import ORT_TARGET, OWN
from tinyint import qat
from tinyint.data import Boxes, Sample
from tinyint.extras.zoo import (
    MODELS,
    YOLOv3,
    export,
    natural_images,
    settle,
    yolov3_mobilenet_v1,
    yolov3_resnet34,
    yolov3_resnet50vd_dcn,
)
from tinyint.extras.zoo.blocks import ConvNorm
from tinyint.extras.zoo.deform_conv import DeformConv2d
from tinyint.extras.zoo.yolov3 import STRIDES, Backbone
from tinyint.graph.prepare import prepare_float
from tinyint.proof.coverage import read_coverage
from tinyint.quantization.calibration import calibrate
from tinyint.quantization.ptq import quantize_graph
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime
from tinyint.targets import get_target
from tinyint.tasks import Detection, task_of
from tinyint.tasks.learning.yolo import yolo_loss

SIZE, CLASSES = 64, 3
BUILDERS = (yolov3_mobilenet_v1, yolov3_resnet34, yolov3_resnet50vd_dcn)
NAMES = [builder.__name__ for builder in BUILDERS]
NECK = 61_949_149 - 40_584_928  # of YOLOv3 on Darknet-53 (yolov3.weights), less its backbone
PUBLISHED = {
    "yolov3_mobilenet_v1": 4_231_976 - 1_025_000 + NECK,  # MobileNetV1 without its classifier
    "yolov3_resnet34": 42_304_829,
    "yolov3_resnet50vd_dcn": 45_952_942,
}
# ResNet-34, and timm's resnet50d with 27 channels of offsets and masks before each of three convolutions of 512
BACKBONES = {
    "yolov3_resnet34": 21_797_672 - 513_000,
    "yolov3_resnet50vd_dcn": 25_576_264 - 2_049_000 + 3 * 27 * (512 * 9 + 1),
}


def darknet53() -> Backbone:
    """Table 1 of the paper, without the residual additions, which have no weights."""
    parts, channels = [nn.Sequential(ConvNorm(3, 32, 3))], 32
    for stage, repeats in enumerate((1, 2, 8, 8, 4)):
        if stage > 2:
            parts.append(nn.Sequential())
        parts[-1].append(ConvNorm(channels, 2 * channels, 3, stride=2))
        for _ in range(repeats):
            parts[-1].append(ConvNorm(2 * channels, channels, 1))
            parts[-1].append(ConvNorm(channels, 2 * channels, 3))
        channels *= 2
    return Backbone(parts, [256, 512, 1024])


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_neck_and_heads_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        model = YOLOv3(darknet53())
        images = torch.empty(1, 3, 416, 416)
    assert count(model.backbone) == 40_584_928
    assert count(model) == 61_949_149
    # 65.86 billion operations at 416×416, of which a multiplication and an addition are two
    assert millions_of_macs(model, images) == pytest.approx(65_860 / 2, rel=0.002)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        model = MODELS[name].builder()
    assert count(model) == PUBLISHED[name] == MODELS[name].parameters
    assert count(model.backbone) == BACKBONES.get(name, count(model.backbone))
    assert (MODELS[name].task, MODELS[name].classes, MODELS[name].size) == ("detection", 80, 320)


@pytest.mark.parametrize(("size", "cells"), [(320, 10), (416, 13), (608, 19)])
def test_heads_at_the_sizes_of_the_paper(size: int, cells: int) -> None:
    with torch.device("meta"):
        heads = yolov3_mobilenet_v1()(torch.empty(1, 3, size, size))
    assert [head.shape for head in heads] == [(1, 255, n, n) for n in (cells, 2 * cells, 4 * cells)]


def test_anchors_of_ones_own_reach_the_heads_and_the_file(tmp_path: Path) -> None:
    anchors = [[[40, 40]], [[20, 20], [10, 30]], [[8, 8]]]
    model = yolov3_mobilenet_v1(num_classes=1, width=0.125, in_channels=1, anchors=anchors)
    path = export(model, tmp_path / "own.onnx", size=SIZE)
    shapes = [value.shape for value in onnxruntime.InferenceSession(path).get_outputs()]
    assert shapes == [["batch", 6, 2, 2], ["batch", 12, 4, 4], ["batch", 6, 8, 8]]
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert task_of(metadata) == Detection(anchors=anchors, strides=STRIDES)


def test_a_fresh_network_expects_an_object_at_one_place_in_a_hundred() -> None:
    torch.manual_seed(0)
    model = yolov3_mobilenet_v1(num_classes=CLASSES, width=0.125)
    for head in model(torch.randn(4, 3, SIZE, SIZE)):
        objectness = head.detach().unflatten(1, (3, -1))[:, :, 4].sigmoid()
        assert 0.005 < float(objectness.min()) <= float(objectness.max()) < 0.02


class Case:
    """A small network, its file, and its calibration, made once."""

    def __init__(self, name: str, directory: Path) -> None:
        builder = MODELS[name].builder
        images = torch.from_numpy(natural_images(8, size=SIZE))
        self.name = name
        self.network = settle(builder(num_classes=CLASSES, width=0.125), images)
        self.images = natural_images(4, size=SIZE, seed=9)
        self.path = export(self.network, directory / f"{name}.onnx", size=SIZE)
        self.prepared, fingerprint = prepare_float(tinyint.load(self.path))
        samples = [Sample({"input": image[None]}, name=str(i)) for i, image in enumerate(self.images)]
        self.record = calibrate(self.prepared, samples, fingerprint=fingerprint, threads=1)


@pytest.fixture(scope="module", params=NAMES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Case(request.param, tmp_path_factory.mktemp("yolo"))
    torch.set_num_threads(threads)


def objects(count: int) -> list[Boxes]:
    """One object an image, each a pixel further than the one before."""
    box = np.array([[8, 12, 30, 40]], np.float32)
    return [
        Boxes(
            boxes=box + i,
            classes=np.array([i % CLASSES]),
            crowd=np.zeros(1, bool),
            areas=np.ones(1, np.float32),
            size=(SIZE, SIZE),
            image_id=i,
        )
        for i in range(count)
    ]


def test_file_computes_what_torch_computes(case: Case) -> None:
    model = onnx.load(case.path)
    onnx.checker.check_model(model, full_check=True)
    deforms = [node.op_type for node in model.graph.node].count("DeformConv")
    assert (deforms, model.opset_import[0].version) == ((3, 19) if "dcn" in case.name else (0, 17))
    session = onnxruntime.InferenceSession(case.path)
    assert [value.name for value in session.get_outputs()] == ["head_0", "head_1", "head_2"]
    with torch.no_grad():
        expected = case.network(torch.from_numpy(case.images))
    found = session.run(None, {"input": case.images})
    for ours, theirs, cells in zip(found, expected, (2, 4, 8), strict=True):
        assert ours.shape == (4, 3 * (5 + CLASSES), cells, cells)
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4, rtol=1e-4)


def test_a_training_step_reaches_every_parameter(case: Case) -> None:
    torch.manual_seed(0)
    model = MODELS[case.name].builder(num_classes=CLASSES, width=0.125)
    before = {name: value.clone() for name, value in model.named_parameters()}
    loss = yolo_loss(model.train()(torch.from_numpy(case.images)), objects(4), model.task, SIZE)
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=1e-2).step()
    assert loss.isfinite()
    unmoved = [name for name, value in model.named_parameters() if torch.equal(value, before[name])]
    assert unmoved == []


@pytest.mark.parametrize("target", OWN)
def test_every_layer_with_weights_runs_in_int8(case: Case, target: str) -> None:
    runtime = get_runtime(get_target(target).runtime)
    if not runtime.available():
        pytest.skip(f"{runtime.name} is not installed")
    made = quantize_graph(
        case.prepared, target=get_target(target), recipe=Recipe.load("default"), record=case.record
    )
    found = read_coverage(made, runtime)
    assert (found.macs_int8, found.macs_planned, found.warnings) == (1.0, 1.0, ())
    # sampling, and the places that are sampled, stay in float
    moving = {"GridSample", "Sum", "Div", "Gather", "Transpose"} if "dcn" in case.name else set()
    assert {node.op for node in found.float_nodes} <= moving
    heads = runtime.open(made.model, threads=1).run({"input": case.images})
    with torch.no_grad():
        expected = case.network(torch.from_numpy(case.images))
    for found_head, head in zip(heads.values(), expected, strict=True):
        noise = np.square(found_head - head.numpy()).mean() / np.square(head.numpy()).mean()
        assert noise < 0.1


def test_a_step_of_qat_and_its_export(case: Case) -> None:
    module = qat.prepare(case.path, case.record, target=ORT_TARGET)
    assert isinstance(case.network.task, Detection)
    heads: tuple[Tensor, ...] = module.train()(torch.from_numpy(case.images))
    loss = yolo_loss(heads, objects(4), case.network.task, SIZE)
    loss.backward()
    unreached = [name for name, value in module.named_parameters() if value.grad is None]
    assert unreached == []
    torch.optim.SGD(module.parameters(), lr=1e-4).step()
    model = qat.export(module)
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(case.images))
    found = get_runtime("onnxruntime").open(model, threads=1).run({"input": case.images})
    for ours, theirs in zip(found.values(), expected, strict=True):
        # a rounding that falls otherwise moves later ones; what quantization itself costs is ten times as much
        assert np.abs(ours - theirs.numpy()).mean() < 0.1 * theirs.numpy().std()


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"kernel_size": 3, "padding": 1}, 8),
        ({"kernel_size": 3, "padding": 2, "dilation": 2, "stride": 2, "bias": False}, 9),
        ({"kernel_size": (3, 1), "groups": 2}, 7),
    ],
)
def test_deformable_convolution_is_that_of_onnx(
    options: dict[str, int | bool], size: int, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    layer = DeformConv2d(4, 6, **options)
    with torch.no_grad():
        plain = nn.functional.conv2d(
            torch.ones(1, 4, size, size),
            layer.weight,
            layer.bias,
            layer.stride,
            layer.padding,
            layer.dilation,
            layer.groups,
        )
        bias = 0 if layer.bias is None else layer.bias[:, None, None]
        start = layer(torch.ones(1, 4, size, size))
        torch.testing.assert_close(start, (plain - bias) / 2 + bias)  # no tap moves, each counts one half
        layer.shift.weight.normal_(std=0.5)
        assert layer.shift.bias is not None
        layer.shift.bias.normal_()
    path = export(nn.Sequential(layer), tmp_path / "deform.onnx", size=size)
    image = np.random.default_rng(0).normal(size=(2, 4, size, size)).astype(np.float32)
    with torch.no_grad():
        ours = layer(torch.from_numpy(image)).numpy()
    (theirs,) = ReferenceEvaluator(onnx.load(path)).run(None, {"input": image})
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_deformable_convolution_in_a_module_of_ones_own() -> None:
    layer = DeformConv2d(2, 2, 3, padding=1)
    graph = tinyint.load(layer, torch.zeros(1, 2, 4, 4)).graph
    assert [node.op_type for node in graph].count("DeformConv") == 1
