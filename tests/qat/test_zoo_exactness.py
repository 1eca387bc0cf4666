"""Every family of the zoo, trained a little: what `eval()` computes is what its runtimes compute."""

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import onnx_ir as ir
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from tests.processor import OWN
from tinyint.data import Sample
from tinyint.extras.zoo import (
    bisenetv2,
    googlenet,
    mobilenet_v1,
    mobilenet_v2,
    resnet50,
    vgg16,
    yolov3_mobilenet_v1,
)
from tinyint.extras.zoo.ernie import ernie_base
from tinyint.extras.zoo.export import export as write
from tinyint.extras.zoo.tokens import TEXT_INPUTS
from tinyint.graph.io import load_model, save_model
from tinyint.proof.agreement import agreement
from tinyint.qat.export import export
from tinyint.qat.prepare import prepare
from tinyint.qat.session import qat_session
from tinyint.runtimes import get_runtime, here

SIZE, BATCH, HELD_OUT = 64, 25, 200
FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "mobilenet_v1": lambda: mobilenet_v1(num_classes=10, width=0.25),
    "mobilenet_v2": lambda: mobilenet_v2(num_classes=10, width=0.25),
    "resnet50": lambda: resnet50(num_classes=10, width=0.125),
    "vgg16": lambda: vgg16(num_classes=10, width=0.125, size=SIZE),
    "googlenet": lambda: googlenet(num_classes=10, width=0.25),
    "bisenetv2": lambda: bisenetv2(num_classes=2, width=0.25),
    "yolov3": lambda: yolov3_mobilenet_v1(num_classes=3, width=0.125),
    "ernie": lambda: ernie_base(layers=2, hidden=64, heads=4, vocabulary=40, positions=32),
}

STEPS = {"vgg16": (80, 1e-3), "googlenet": (80, 2e-3)}
"""Steps and their rate of those that may call everything one class after 30: without batch norms, or deep ones."""


@cache
def images() -> tuple[Tensor, Tensor]:
    """Digits (N, 3, 64, 64) in [-1, 1], and what they are."""
    digits = load_digits()
    small = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 8 - 1
    large = functional.interpolate(small, size=(SIZE, SIZE), mode="bilinear")
    return large.repeat(1, 3, 1, 1), torch.tensor(digits.target)


@cache
def texts() -> tuple[Tensor, Tensor]:
    """Tokens (N, 16), and whether there are more of the first half of the words than of the second."""
    tokens = torch.randint(0, 40, (1600, 16), generator=torch.manual_seed(0))
    return tokens, ((tokens < 20).sum(1) > 8).long()


def inputs_of(name: str, x: Tensor) -> dict[str, Tensor]:
    if name != "ernie":
        return {"input": x}
    return dict(zip(TEXT_INPUTS, (x, torch.zeros_like(x), torch.ones_like(x)), strict=True))


def loss_of(name: str, outputs: object, x: Tensor, label: Tensor) -> Tensor:
    """Of the class; of ink or none at each place; or of how much ink there is around it."""
    heads = outputs if isinstance(outputs, tuple | list) else [outputs]
    if name == "bisenetv2":
        return sum((functional.cross_entropy(head, (x[:, 0] > 0).long()) for head in heads), torch.zeros(()))
    if name == "yolov3":
        ink = [functional.adaptive_avg_pool2d(x[:, :1], head.shape[2:]) for head in heads]
        return sum(((h - i).square().mean() for h, i in zip(heads, ink, strict=True)), torch.zeros(()))
    return functional.cross_entropy(heads[0], label)


def train(name: str, module: nn.Module, steps: int, lr: float) -> None:
    data, labels = texts() if name == "ernie" else images()
    generator = torch.manual_seed(1)
    optimizer = torch.optim.Adam(module.parameters(), lr=lr)
    module.train()
    for _ in range(steps):
        rows = torch.randint(0, len(data) - HELD_OUT, (32,), generator=generator)
        given = inputs_of(name, data[rows])
        outputs = module(*given.values())
        optimizer.zero_grad()
        loss_of(name, outputs, data[rows], labels[rows]).backward()
        optimizer.step()
    module.eval()


def samples(name: str, rows: Tensor) -> Iterator[Sample]:
    for start in range(0, len(rows), BATCH):
        given = inputs_of(name, rows[start : start + BATCH])
        yield Sample({key: value.numpy() for key, value in given.items()}, name=str(start))


@pytest.fixture(scope="module")
def float_models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ir.Model]:
    """The float model of a family after a few steps with batch norms, so that its logits say something."""

    @cache
    def make(name: str) -> ir.Model:
        torch.manual_seed(0)
        network = FAMILIES[name]()
        train(name, network, *STEPS.get(name, (30, 2e-3)))
        path = tmp_path_factory.mktemp(name) / "model.onnx"
        return load_model(write(network, path, size=16 if name == "ernie" else SIZE))

    return make


@pytest.mark.parametrize("target", OWN)
@pytest.mark.parametrize("name", FAMILIES)
def test_eval_is_what_the_runtime_computes(name, target, float_models, tmp_path):
    data, _ = texts() if name == "ernie" else images()
    module = prepare(float_models(name), [s.inputs for s in samples(name, data[:50])], target=target)
    train(name, module, 4, 5e-4)
    save_model(export(module), tmp_path / "model.onnx")
    held_out = list(samples(name, data[-HELD_OUT:]))
    runtime = here(get_runtime(module.origin.target.runtime))
    proof = agreement(qat_session(module), tmp_path / "model.onnx", held_out, runtime=runtime)
    assert proof.runtime == module.origin.target.runtime
    assert proof.same_top1 == (None if name in ("bisenetv2", "yolov3") else 1.0)
    with torch.no_grad():
        outputs = module(**inputs_of(name, data[-HELD_OUT:]))
    heads = [np.asarray(head) for head in (outputs if isinstance(outputs, tuple) else (outputs,))]
    values = sum(head.size for head in heads)
    off = (1 - proof.within_1_lsb) * values
    assert off < max(1.5, 0.001 * values)  # one of a few hundred may move, where a code rounds the other way
    first = heads[0]
    assert np.unique(first.argmax(1)).size > 1  # the comparison says something
