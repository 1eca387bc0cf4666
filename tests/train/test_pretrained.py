"""Networks that start from weights of others."""

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
import torch
from torch import nn

from tests.train.build import config, network
from tinyint.errors import ModelError
from tinyint.extras.zoo import (
    export,
    mobilenet_v1,
    resnet34,
    yolov3_mobilenet_v1,
    yolov3_resnet34,
    yolov3_resnet50vd_dcn,
)
from tinyint.extras.zoo.resnet_vd import ResNetVD
from tinyint.train import train
from tinyint.train.pretrained import start_from
from tinyint.train.watch import Silent

pytestmark = pytest.mark.filterwarnings("ignore:.*pin_memory.*")


class TorchvisionBlock(nn.Module):
    """Names and order as in torchvision's ResNet."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(out + (self.downsample(x) if hasattr(self, "downsample") else x))


class TorchvisionResNet34(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        inputs = 8
        for stage, (count, outputs) in enumerate(zip((3, 4, 6, 3), (8, 16, 32, 64), strict=True), start=1):
            blocks = []
            for index in range(count):
                blocks.append(TorchvisionBlock(inputs, outputs, 2 if stage > 1 and index == 0 else 1))
                inputs = outputs
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(64, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(x.mean((2, 3)))


def shaken(module: nn.Module) -> nn.Module:
    """With statistics and scales that a fresh network does not have, none of them equal."""
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.1 if tensor.ndim < 2 else tensor)
    return module.eval()


def test_a_detector_starts_from_the_file_of_a_classifier(tmp_path):
    classifier = shaken(mobilenet_v1(num_classes=3, width=0.125))
    path = export(classifier, tmp_path / "c.onnx", size=32, keep_batch_norms=True)
    detector = yolov3_mobilenet_v1(num_classes=2, width=0.125).eval()
    levels = {name: tensor.clone() for name, tensor in detector.levels.state_dict().items()}
    assert start_from(detector, path) == f"135 tensors of the backbone start from '{path}'"
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(detector.backbone(x)[-1], classifier.blocks(classifier.stem(x)))
    assert all(torch.equal(tensor, levels[name]) for name, tensor in detector.levels.state_dict().items())


@pytest.mark.parametrize("nested", [False, True])
def test_weights_with_the_names_of_torchvision(tmp_path, nested):
    torch.manual_seed(0)
    theirs = shaken(TorchvisionResNet34())
    state = theirs.state_dict()
    torch.save({"epoch": 3, "state_dict": state} if nested else state, tmp_path / "r.pth")
    x = torch.randn(2, 3, 64, 64)
    whole = resnet34(width=0.125).eval()
    start_from(whole, tmp_path / "r.pth")
    torch.testing.assert_close(whole(x), theirs(x))
    other = resnet34(width=0.125, num_classes=5)
    drawn = other.classifier.linear.weight.clone()
    assert start_from(other, tmp_path / "r.pth").endswith("the last layer, classifier.linear, is new")
    assert torch.equal(other.stages[3][2].conv.conv.weight, state["layer4.2.conv1.weight"])
    assert torch.equal(other.classifier.linear.weight, drawn)
    detector = yolov3_resnet34(width=0.125, num_classes=2)
    start_from(detector, tmp_path / "r.pth")
    assert torch.equal(
        detector.backbone.state_dict()["parts.0.0.conv.weight"], whole.state_dict()["stem.conv.weight"]
    )


def test_deformable_convolutions_take_the_weights_of_plain_ones(tmp_path):
    classifier = nn.Sequential(shaken(ResNetVD(width=0.125)), nn.Linear(256, 10))
    torch.save(classifier.state_dict(), tmp_path / "r50d.pth")
    detector = yolov3_resnet50vd_dcn(width=0.125, num_classes=2).eval()
    assert start_from(detector, tmp_path / "r50d.pth").startswith("275 tensors of the backbone")
    x = torch.randn(1, 3, 64, 64)
    assert torch.equal(detector.backbone(x)[1], classifier[0](x)[2])  # the stage before them
    deformable = detector.backbone.parts[2][0].conv.conv
    assert torch.equal(deformable.weight, classifier[0].stages[3][0].conv.conv.weight)
    assert not deformable.shift.weight.any()


def test_what_does_not_fit_is_named_and_changes_nothing(tmp_path):
    network = mobilenet_v1(num_classes=3, width=0.125)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for state, told in (
        (
            mobilenet_v1(num_classes=3, width=0.5).state_dict(),
            r"tensor 1 is 'stem.conv.weight' of shape \(16, ",
        ),
        (dict(list(network.state_dict().items())[:6]), "holds 5 tensors, the network has 135"),
        ({name.replace("running_mean", "mean"): v for name, v in before.items()}, r"'stem\.norm\.mean'"),
        ({"step": torch.tensor(3)}, "holds no weights"),
        ([1, 2], "holds no weights"),
    ):
        torch.save(state, tmp_path / "w.pth")
        with pytest.raises(ModelError, match=told):
            start_from(network, tmp_path / "w.pth")
    (tmp_path / "broken.pth").write_bytes(b"PK no weights")
    for name in ("broken.pth", "none.pth"):
        with pytest.raises(ModelError, match=rf"cannot read '.*{name}'"):
            start_from(network, tmp_path / name)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_training_starts_there_and_says_so(here):
    class Notices(Silent):
        def __init__(self):
            self.told = []

        def notice(self, message):
            self.told.append(message)

    torch.manual_seed(5)
    torch.save(shaken(network()).state_dict(), here / "w.pth")
    changes = {"iters": 1, "optimizer__learning_rate": 1e-9, "model__pretrained": here / "w.pth"}
    notices = Notices()
    train(config(here, **changes), watcher=notices)
    assert notices.told == [f"12 tensors of the network start from '{here / 'w.pth'}'"]
    trained = onnx.load(here / "out" / "best_model" / "model.onnx").graph.initializer
    weights = [onnx.numpy_helper.to_array(tensor) for tensor in trained if tensor.name.endswith("8.weight")]
    np.testing.assert_allclose(weights[0], torch.load(here / "w.pth")["8.weight"].numpy(), atol=1e-6)

    resumed = Notices()
    train(config(here, **{**changes, "iters": 2}), resume=True, watcher=resumed)
    assert not any("start from" in notice for notice in resumed.told)
