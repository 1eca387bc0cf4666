"""ONNX files of the zoo against torch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from tinyint.errors import ModelError, OutputError
from tinyint.extras.zoo import export, mobilenet_v2, natural_images, settle, vgg16
from tinyint.tasks import Classification, task_of


@pytest.fixture(scope="module")
def narrow() -> nn.Module:
    images = torch.from_numpy(natural_images(16, size=64))
    return settle(mobilenet_v2(num_classes=10, width=0.25), images)


def test_onnx_computes_what_torch_computes_at_any_batch_size(narrow: nn.Module, tmp_path: Path) -> None:
    path = export(narrow, tmp_path / "narrow.onnx", size=64)
    session = onnxruntime.InferenceSession(path)
    for count in (1, 3):
        images = natural_images(count, size=64, seed=9)
        (logits,) = session.run(["logits"], {"input": images})
        with torch.no_grad():
            expected = narrow(torch.from_numpy(images)).numpy()
        assert logits.shape == (count, 10)
        np.testing.assert_allclose(logits, expected, atol=1e-4, rtol=1e-4)


def test_graph_is_plain_and_its_nodes_carry_their_scope(narrow: nn.Module, tmp_path: Path) -> None:
    model = onnx.load(export(narrow, tmp_path / "narrow.onnx", size=64))
    onnx.checker.check_model(model, full_check=True)
    kinds = Counter(node.op_type for node in model.graph.node)
    assert kinds["Conv"] == 52
    assert kinds["Add"] == 11  # at this width the first row keeps its 8 channels: one skip more
    assert kinds["GlobalAveragePool"] == kinds["Gemm"] == 1
    assert kinds.keys() <= {"Conv", "Clip", "Add", "GlobalAveragePool", "Flatten", "Gemm", "Constant"}
    assert "/blocks/blocks.1/body/depthwise/conv/Conv" in {node.name for node in model.graph.node}
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert task_of(metadata) == Classification()


def test_size_that_the_network_cannot_take_is_refused(tmp_path: Path) -> None:
    with torch.device("meta"):
        model = vgg16()
    with pytest.raises(ModelError, match="VGG can't take images of 32×32"):
        export(model, tmp_path / "vgg.onnx", size=32)
    assert list(tmp_path.iterdir()) == []


def test_network_without_convolution_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no convolution"):
        export(nn.Linear(3, 2), tmp_path / "linear.onnx")


def test_directory_that_does_not_exist_is_an_output_error(narrow: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        export(narrow, tmp_path / "missing" / "narrow.onnx", size=64)
