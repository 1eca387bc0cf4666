"""The segmentation networks: against the counts of reference implementations, and all the way to int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

import tinyint
from tests.extras.zoo.test_networks import millions_of_macs
from tests.processor import ORT_TARGET, OWN
from tinyint import qat
from tinyint.extras.zoo import MODELS, entry, export, natural_images, settle
from tinyint.extras.zoo.danet import ChannelAttention
from tinyint.extras.zoo.emanet import ExpectationMaximization
from tinyint.extras.zoo.segmentation import average_bins, resize
from tinyint.runtimes import get_runtime
from tinyint.targets import get_target
from tinyint.tasks import Segmentation, task_of

# As built from the configs of mmsegmentation 1.2.2 (R-50-D8, 19 classes); auxiliary heads included.
MMSEGMENTATION = {
    "dnlnet_resnet50": 50_024_327,
    "emanet_resnet50": 42_349_958,
    "gcnet_resnet50": 49_630_215,
    "pspnet_resnet50": 48_975_494,
}
# As built by PaddleSeg 2.8 (ResNet50_vd, output stride 8, 19 classes). It gives the convolutions before the batch norms
# of the heads a bias, without effect, but none to that of DeepLab's image pooling; the second number counts them.
PADDLESEG = {
    "ann_resnet50": (48_597_638, 4_352),
    "danet_resnet50": (47_522_862, 2_048),
    "deeplabv3p_resnet50": (26_723_395, 8_544),
    "bisenetv2": (2_516_455, 7_752),
}
MACS = {  # millions at 512×1024 in the convolutions, as counted in mmsegmentation's modules
    "ann_resnet50": 369_426,
    "dnlnet_resnet50": 399_495,
    "emanet_resnet50": 336_637,
    "gcnet_resnet50": 395_200,
    "pspnet_resnet50": 356_593,
}
NAMES = (*MMSEGMENTATION, *PADDLESEG)
# The second operand must have zero-point 0 there, and the residual Add reads the same map: 0.5 % of DANet's work.
OPENVINO_FLOAT = {"/channel/channel.1/MatMul", "/channel/channel.1/MatMul_1"}
# Untrained, DNLNet's scores span too much for codes before Softmax.
WIDE_SCORES = {"/context/context.1/MatMul"}
CLASSES, SIDE = 5, 64


def built(name: str) -> nn.Module:
    with torch.device("meta"):
        return entry(name).builder()


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_those_of_the_reference_implementation(name: str) -> None:
    model = built(name)
    count = sum(p.numel() for p in model.parameters())
    published, biases = PADDLESEG[name] if name in PADDLESEG else (MMSEGMENTATION[name], 0)
    assert count + biases == published
    assert count == entry(name).parameters
    heads = [m for path, m in model.named_modules() if not path.startswith("backbone")]
    if biases:
        without = model.pyramid.image[0].out_channels if name.startswith("deeplab") else 0
        assert sum(m[0].out_channels for m in heads if is_normed(m)) - without == biases


def is_normed(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and len(module) > 1 and isinstance(module[1], nn.BatchNorm2d)


@pytest.mark.parametrize("name", MACS)
def test_multiplications_are_those_of_the_reference_implementation(name: str) -> None:
    images = torch.empty(1, 3, 512, 1024, device="meta")
    assert millions_of_macs(built(name), images) == pytest.approx(MACS[name], rel=2e-4)


def test_the_registry_lists_these() -> None:
    assert {name for name, item in MODELS.items() if item.task == "segmentation"} == set(NAMES)


@pytest.fixture(scope="module", params=NAMES)
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    model = entry(request.param).builder(num_classes=CLASSES, width=0.125)
    settle(model, images(8))
    return model, export(model, tmp_path_factory.mktemp(request.param) / "net.onnx", size=SIDE)


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(natural_images(count, size=SIDE, seed=seed))


def test_onnx_computes_what_torch_computes_at_any_batch_size(small: tuple[nn.Module, Path]) -> None:
    model, path = small
    session = onnxruntime.InferenceSession(path)
    for count in (1, 3):
        x = images(count, seed=9)
        (logits,) = session.run(["logits"], {"input": x.numpy()})
        with torch.no_grad():
            expected = model(x).numpy()
        assert logits.shape == (count, CLASSES, SIDE, SIDE)
        np.testing.assert_allclose(logits, expected, atol=1e-3 * np.abs(expected).max())


def test_the_file_says_what_it_is_for_and_computes_no_shape_of_the_attention(
    small: tuple[nn.Module, Path],
) -> None:
    proto = onnx.load(small[1])
    assert task_of({entry.key: entry.value for entry in proto.metadata_props}) == Segmentation()
    kinds = {node.op_type for node in proto.graph.node}
    assert not kinds & {"Expand", "Gather", "Where", "Loop", "If", "Cast", "Clip"}


def test_a_step_trains_all_that_has_a_gradient(small: tuple[nn.Module, Path]) -> None:
    model = small[0]
    labels = torch.randint(0, CLASSES, (2, SIDE, SIDE), generator=torch.manual_seed(0))
    model.train()
    try:
        outputs = model(images(2))
        assert isinstance(outputs, tuple)
        assert all(logits.shape == (2, CLASSES, SIDE, SIDE) for logits in outputs)
        sum(functional.cross_entropy(logits, labels) for logits in outputs).backward()
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        assert all(p.grad is not None and p.grad.isfinite().all() for p in trained.values())
    finally:
        model.zero_grad()
        model.eval()


@pytest.mark.parametrize("target", OWN)
def test_all_weights_and_products_run_in_int8(small: tuple[nn.Module, Path], target: str) -> None:
    result = tinyint.quantize(
        small[1], tinyint.Samples(images(10).numpy(), limit=8), target=target, run=tinyint.Run(verify=False)
    )
    runtime = get_runtime(get_target(target).runtime)
    products = {n.name for n in onnx.load(small[1]).graph.node if n.op_type in ("Conv", "MatMul")}
    executed = {name for row in runtime.executed(result.model) if row.int8 for name in row.sources}
    assert products - executed - WIDE_SCORES == _float_products(small[1], target) - WIDE_SCORES
    x = images(4, seed=1)
    logits = runtime.open(result.model, threads=1).run({"input": x.numpy()})["logits"]
    with torch.no_grad():
        expected = small[0](x).numpy()
    assert ((logits - expected) ** 2).mean() < 0.2 * (
        expected**2
    ).mean()  # 7 dB; these amplify noise by 10 to 20


def _float_products(path: Path, target: str) -> set[str]:
    graph = onnx.load(path).graph
    if target == "openvino":
        return OPENVINO_FLOAT & {node.name for node in graph.node}
    weights = {tensor.name for tensor in graph.initializer}
    of_activations = {n.name for n in graph.node if n.op_type == "MatMul" and not weights & set(n.input)}
    return of_activations if target == "openvino-avx2" else set()


def test_a_step_of_quantization_aware_training_ends_in_int8(small: tuple[nn.Module, Path]) -> None:
    module = qat.prepare(small[1], [images(1, seed=i).numpy() for i in range(2)], target=ORT_TARGET)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-4)
    labels = torch.randint(0, CLASSES, (2, SIDE, SIDE), generator=torch.manual_seed(0))
    module.train()
    functional.cross_entropy(module(images(2)), labels).backward()
    optimizer.step()
    model = qat.export(module.eval())
    rows = get_runtime("onnxruntime").executed(model)
    floats = [row for row in rows if row.op in ("Conv", "FusedConv", "MatMul", "FusedMatMul", "Gemm")]
    assert [row for row in floats if not WIDE_SCORES & {row.name, *row.sources}] == []


def test_bins_are_equal_windows_that_cover_the_map() -> None:
    x = torch.arange(8.0).reshape(1, 1, 1, 8).expand(1, 1, 8, 8)
    assert average_bins(x, 2)[0, 0, 0].tolist() == [1.5, 5.5]
    assert average_bins(x, 3)[0, 0, 0].tolist() == [1.5, 3.5, 5.5]  # windows of 4, 2 apart
    assert average_bins(x, 8)[0, 0, 0].tolist() == list(range(8))


def test_a_single_pixel_is_repeated() -> None:
    x = torch.tensor([3.0, -1.0]).reshape(1, 2, 1, 1)
    assert torch.equal(resize(x, torch.empty(1, 1, 4, 6)), x.expand(1, 2, 4, 6))


def test_channel_attention_is_that_of_the_paper() -> None:
    module, x = ChannelAttention(), torch.randn(2, 4, 3, 5, generator=torch.manual_seed(0))
    nn.init.constant_(module.gain.gain, 0.5)
    rows = x.flatten(2)
    energy = rows @ rows.transpose(1, 2)
    weights = (energy.max(-1, keepdim=True).values - energy).softmax(-1)
    expected = x + 0.5 * (weights @ rows).view_as(x)
    torch.testing.assert_close(module(x), expected)


def test_bases_follow_the_training_images_and_nothing_else() -> None:
    module, x = ExpectationMaximization(8), torch.randn(2, 8, 4, 4, generator=torch.manual_seed(0))
    start = module.bases.clone()
    module.eval()(x)
    assert torch.equal(module.bases, start)
    module.train()(x)
    moved = module.bases - 0.9 * start  # a tenth of the images' bases, which are directions of length one
    torch.testing.assert_close(moved.norm(dim=0), torch.full((64,), 0.1), atol=1e-4, rtol=0)
