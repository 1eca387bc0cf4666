"""ERNIE as a classifier of texts: against the published configuration, and all the way to int8."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

import tinyint
from tests.processor import ORT_TARGET, OWN
from tinyint import qat
from tinyint.extras.zoo import entry, export, settle, token_sequences
from tinyint.extras.zoo.samples import samples
from tinyint.runtimes import get_runtime
from tinyint.targets import get_target

pytest.importorskip("transformers")

VOCABULARY, CLASSES, LENGTH = 300, 3, 24
INPUTS = ["input_ids", "token_type_ids", "attention_mask"]


def test_parameters_are_those_of_the_published_configuration() -> None:
    from tinyint.extras.zoo.ernie import ernie_base

    with torch.device("meta"):
        count = sum(p.numel() for p in ernie_base().parameters())
    embeddings = (18_000 + 513 + 2) * 768 + 2 * 768  # words, positions, sentences, norm
    attention, feed_forward = 4 * (768 * 768 + 768), 2 * 768 * 3072 + 3072 + 768
    layers = 12 * (attention + feed_forward + 2 * 2 * 768)
    pooler, classifier = 768 * 768 + 768, 2 * 768 + 2
    assert count == embeddings + layers + pooler + classifier == entry("ernie_base").parameters


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    from tinyint.extras.zoo.ernie import ernie_base

    model = ernie_base(num_classes=CLASSES, layers=2, hidden=64, heads=4, vocabulary=VOCABULARY, positions=64)
    settle(model, *samples(model, 16, size=LENGTH))
    return model, export(model, tmp_path_factory.mktemp("ernie") / "ernie.onnx", size=LENGTH)


def texts(count: int, length: int = LENGTH, seed: int = 0) -> dict[str, np.ndarray]:
    return token_sequences(count, vocabulary=VOCABULARY, length=length, seed=seed)


def test_onnx_computes_what_torch_computes_at_any_batch_and_length(small: tuple[nn.Module, Path]) -> None:
    model, path = small
    session = onnxruntime.InferenceSession(path)
    assert [i.name for i in session.get_inputs()] == INPUTS
    for count, length in ((1, 9), (3, 40)):
        feeds = texts(count, length, seed=5)
        (logits,) = session.run(["logits"], feeds)
        with torch.no_grad():
            expected = model(*(torch.from_numpy(feeds[name]) for name in INPUTS)).numpy()
        assert logits.shape == (count, CLASSES)
        np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_padding_changes_nothing_and_the_mask_is_bounded(small: tuple[nn.Module, Path]) -> None:
    session = onnxruntime.InferenceSession(small[1])
    feeds = texts(2)
    padded = {name: np.pad(array, ((0, 0), (0, 16))) for name, array in feeds.items()}
    np.testing.assert_allclose(session.run(None, feeds)[0], session.run(None, padded)[0], atol=1e-4)
    floats = [
        onnx.numpy_helper.to_array(node.attribute[0].t)
        for node in onnx.load(small[1]).graph.node
        if node.op_type == "Constant" and node.attribute[0].t.data_type == onnx.TensorProto.FLOAT
    ]
    assert max(np.abs(array).max() for array in floats) == 10_000


@pytest.mark.parametrize("target", OWN)
def test_all_weights_and_products_run_in_int8(small: tuple[nn.Module, Path], target: str) -> None:
    result = tinyint.quantize(
        small[1], tinyint.Samples(texts(40), limit=32), target=target, run=tinyint.Run(verify=False)
    )
    with_weights = {
        node.name for node in onnx.load(small[1]).graph.node if node.op_type in ("Gemm", "MatMul")
    }
    assert len(with_weights) == 2 * (6 + 2) + 2  # linear layers and products; pooler, classifier
    runtime = get_runtime(get_target(target).runtime)
    executed = {name for row in runtime.executed(result.model) if row.int8 for name in row.sources}
    # OpenVINO makes one int8 kernel of each attention and does not name the product of queries and keys in it
    inside = {f"/model/ernie/encoder/layer.{i}/attention/self/MatMul" for i in range(2)}
    outside = {f"{name}_1" for name in inside}  # the other product of two activations, in float without VNNI
    in_float = {"openvino": inside, "openvino-avx2": inside | outside}.get(target, set())
    assert with_weights - executed == in_float
    assert (result.report.coverage.macs_planned == 1) == (target != "openvino-avx2")
    feeds = texts(32, seed=1)
    logits = runtime.open(result.model, threads=1).run(feeds)["logits"]
    (expected,) = onnxruntime.InferenceSession(small[1]).run(["logits"], feeds)
    assert ((logits - expected) ** 2).mean() < 0.01 * expected.var()  # 20 dB


def test_a_step_of_quantization_aware_training_ends_in_int8(small: tuple[nn.Module, Path]) -> None:
    module = qat.prepare(small[1], texts(128), target=ORT_TARGET)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3)
    feeds = {name: torch.from_numpy(array) for name, array in texts(8, seed=3).items()}
    functional.cross_entropy(module.train()(**feeds), torch.arange(8) % CLASSES).backward()
    optimizer.step()
    rows = get_runtime("onnxruntime").executed(qat.export(module.eval()))
    assert [row.op for row in rows if row.op in ("MatMul", "FusedMatMul", "Gemm")] == []


def test_sequences_are_repeatable_and_of_many_lengths() -> None:
    few, many = texts(3), texts(20)
    assert all(np.array_equal(few[name], many[name][:3]) for name in INPUTS)
    lengths = many["attention_mask"].sum(1)
    assert len(set(lengths)) > 5
    assert many["input_ids"].max() < VOCABULARY
    assert all((many["input_ids"] > 0).sum(1) == lengths)


WITHOUT_TRANSFORMERS = """
import sys
sys.modules["transformers"] = None
from tinyint.errors import DependencyError
from tinyint.extras.zoo import build
try:
    build("ernie_base")
except DependencyError as error:
    print(error)
"""


def test_without_transformers_the_message_names_the_extra() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TRANSFORMERS], capture_output=True, text=True, check=True
    )
    assert 'pip install "tinyint[zoo,text]"' in done.stdout
