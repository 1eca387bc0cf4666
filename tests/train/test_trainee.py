"""Graphs and modules of one's own are trained."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.models import residual
from tests.tasks import build as tasks
from tests.train.build import config
from tests.train.runs import Notes
from tinyint.errors import ModelError
from tinyint.extras.demo import demo_model_path
from tinyint.extras.synthetic import make
from tinyint.graph.io import is_quantized, load_model, save_model
from tinyint.runtimes import get_runtime
from tinyint.train import qat, train

pytestmark = pytest.mark.filterwarnings("ignore:.*pin_memory.*")


def test_an_onnx_file_is_trained_and_keeps_its_names(here):
    images = np.random.default_rng(0).standard_normal((12, 1, 96, 96)).astype(np.float32)
    np.savez(here / "few.npz", input=images, labels=np.arange(12) % 10)
    changes = {
        "model__source": demo_model_path(),
        "model__arguments": "{width: 0.25}",
        "model__input": "null",
        "data__train": here / "few.npz",
        "data__val": "null",
        "iters": 2,
        "batch_size": 4,
    }
    before = load_model(demo_model_path())
    notes = Notes()
    outcome = train(config(here, **changes), watcher=notes)
    after = load_model(Path(outcome.best_model) / "model.onnx")
    assert [v.name for v in after.graph.inputs] == [v.name for v in before.graph.inputs]
    name = next(n for n, v in before.graph.initializers.items() if len(v.shape) == 4)
    old, new = (m.graph.initializers[name].const_value.numpy() for m in (before, after))
    assert old.shape == new.shape
    assert not np.array_equal(old, new)
    assert any(note.startswith("model.arguments have no effect on") for note in notes.notices)


@pytest.mark.parametrize(("cast", "told"), [(False, "such as ArgMax"), (True, "node 'decide' has none")])
def test_a_graph_that_ends_in_a_decision_is_refused(here, cast, told):
    save_model(residual(), here / "logits.onnx")
    proto = onnx.load(here / "logits.onnx")
    spec = get_runtime("onnxruntime").open(here / "logits.onnx").inputs[0]
    nodes = [helper.make_node("ArgMax", [proto.graph.output[0].name], ["chosen"], name="decide", axis=1)]
    nodes += [helper.make_node("Cast", ["chosen"], ["number"], to=TensorProto.FLOAT)] if cast else []
    proto.graph.node.extend(nodes)
    del proto.graph.output[:]
    kind = TensorProto.FLOAT if cast else TensorProto.INT64
    proto.graph.output.append(helper.make_tensor_value_info(nodes[-1].output[0], kind, None))
    onnx.save(proto, here / "argmax.onnx")
    shape = [dim or 1 for dim in spec.shape][1:]
    arrays = {spec.name: np.ones((4, *shape), np.float32), "labels": np.zeros(4, np.int64)}
    np.savez(here / "x.npz", **arrays)
    source = {"model__source": here / "argmax.onnx", "model__input": "null"}
    with pytest.raises(ModelError, match=told):
        train(config(here, data__train=here / "x.npz", data__val="null", data__augment="{}", **source))


def test_a_text_classifier_with_whole_numbers_as_input_is_trained_and_quantized(here):
    """Embedding, mean over the tokens, two layers; two inputs, of which one is a mask."""
    random = np.random.default_rng(0)
    weights = {
        "table": random.standard_normal((20, 8)),
        "w1": random.standard_normal((8, 16)) / 3,
        "w2": random.standard_normal((16, 2)) / 4,
    }
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["embedded"], name="embed"),
        helper.make_node("Mul", ["embedded", "mask"], ["kept"], name="mask_out"),
        helper.make_node("ReduceMean", ["kept"], ["mean"], name="pool", axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "w1"], ["hidden"], name="first"),
        helper.make_node("Relu", ["hidden"], ["active"], name="relu"),
        helper.make_node("MatMul", ["active", "w2"], ["logits"], name="second"),
    ]
    graph = helper.make_graph(
        nodes,
        "text",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", 6]),
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["batch", 6, 1]),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, here / "text.onnx")
    ids = random.integers(0, 20, (64, 6))
    labels = (ids < 10).sum(1) > 2
    mask = np.ones((64, 6, 1), np.float32)
    np.savez(here / "text.npz", ids=ids, mask=mask, labels=labels.astype(np.int64))
    run = config(
        here,
        model__source=here / "text.onnx",
        model__input="null",
        data__train=here / "text.npz",
        data__val=here / "text.npz",
        data__augment="{}",
        iters=150,
        eval_interval=0,
    )
    outcome = train(run)
    assert outcome.best.value > 0.8
    again = run.model_copy(update={"save_dir": str(here / "int8"), "iters": 4})
    assert qat(again, outcome.best_model).proof.within_1_lsb > 0.99


def test_a_network_of_ones_own_that_takes_texts_is_trained_and_quantized(tmp_path):
    """Its inputs are those of its forward, in its order, of any length."""
    root = make("sentences", tmp_path / "reviews", train=300, val=40).directory
    changes = {
        "model": "{source: 'tests.train.build:Words', input: [32]}",
        "data": f"{{train: {root / 'train.tsv'}, val: {root / 'val.tsv'}, "
        "preprocessing: {tokenizer: vocab.txt, max_length: 32}}",
        "optimizer": "{name: adamw, learning_rate: 0.02}",
    }
    notes = Notes()
    outcome = train(config(tmp_path, **changes, iters=60, batch_size=32), watcher=notes)
    assert notes.losses[-1] < 0.9 * notes.losses[0]
    best = Path(outcome.best_model)
    session = get_runtime("onnxruntime").open(best / "model.onnx")
    assert [(spec.name, spec.shape) for spec in session.inputs] == [
        ("input_ids", (None, None)),
        ("attention_mask", (None, None)),
    ]
    trained = qat(config(tmp_path, **changes, iters=2, save_dir=tmp_path / "qat"), best)
    assert is_quantized(load_model(Path(trained.best_model) / "model.onnx"))


def test_auxiliary_losses_that_a_graph_cannot_have_are_told(here):
    tasks.label_list(here / "pixels")
    tasks.saved(tasks.segmenter(), here / "segmenter.onnx")
    changes = {
        "model__source": here / "segmenter.onnx",
        "model__input": "null",
        "data": {"train": str(here / "pixels")},
        "iters": 1,
        "batch_size": 2,
    }
    for loss, count in (({"auxiliary": 0.4}, 1), ({}, 0)):
        notes = Notes()
        train(config(here, save_dir=here / str(count), loss=loss, **changes), watcher=notes)
        assert sum(note.startswith("loss.auxiliary has no effect") for note in notes.notices) == count
