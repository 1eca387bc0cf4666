"""Training, stopping and going on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tests.models import residual
from tests.tasks import build as tasks
from tests.train.build import config
from tinyint.demo import demo_data, demo_model_path
from tinyint.errors import DataError, DivergedError, ModelError, OutputError, RecipeError
from tinyint.graph.io import is_quantized, load_model, save_model
from tinyint.runtimes import get_runtime
from tinyint.synthetic import make
from tinyint.train import dump_config, qat, train
from tinyint.train.checkpoint import CHECKPOINT, Checkpoint, load_checkpoint, save_checkpoint
from tinyint.train.watch import Silent

pytestmark = pytest.mark.filterwarnings("ignore:.*pin_memory.*")


class Notes(Silent):
    def __init__(self):
        self.notices, self.losses, self.evaluations = [], [], []

    def notice(self, message):
        self.notices.append(message)

    def status(self, status):
        self.losses.append(status.loss)

    def evaluation(self, evaluation):
        self.evaluations.append(evaluation)


class Stop(Silent):
    """Stops the run, as Ctrl-C does, when an iteration has been reached."""

    def __init__(self, at):
        self.at = at

    def status(self, status):
        if status.iteration >= self.at:
            raise KeyboardInterrupt


def state_of(folder):
    found = load_checkpoint(Path(folder))
    tensors = {f"module.{k}": v for k, v in found.module.items()}
    for i, entry in found.optimizer["state"].items():
        tensors |= {f"optimizer.{i}.{k}": v for k, v in entry.items()}
    return found.iteration, tensors


def assert_equal_state(one, other):
    (iteration, a), (same, b) = state_of(one), state_of(other)
    assert iteration == same
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]) if isinstance(value, torch.Tensor) else value == b[name], name


def test_a_network_learns_and_its_best_model_runs(here):
    notes = Notes()
    outcome = train(config(here, iters=60, eval_interval=20, log_interval=20), watcher=notes)
    assert notes.losses[-1] < 0.7 * notes.losses[0]
    assert outcome.best.value == max(e.value for e in notes.evaluations) > 0.6
    metrics = json.loads((Path(outcome.best_model) / "metrics.json").read_text())
    assert metrics["top1"] == outcome.best.value
    session = get_runtime("onnxruntime").open(Path(outcome.best_model) / "model.onnx")
    with np.load(here / "val.npz") as val:
        logits = session.run({session.inputs[0].name: val["input"]})["output"]
        assert (logits.argmax(1) == val["labels"]).mean() == pytest.approx(metrics["top1"])


@pytest.mark.parametrize("changes", [{}, {"optimizer__name": "adamw", "workers": 1}], ids=["sgd", "adamw"])
def test_a_run_that_was_stopped_ends_with_the_same_bits(here, changes):
    whole, parts = (config(here, save_dir=here / name, **changes) for name in ("whole", "parts"))
    train(whole)
    with pytest.raises(KeyboardInterrupt):
        train(parts, watcher=Stop(6))
    notes = Notes()
    outcome = train(parts, resume=True, watcher=notes)
    assert outcome.resumed_at == 4
    assert notes.notices == ["going on from iteration 4 of 12"]
    assert_equal_state(here / "whole", here / "parts")
    one, other = ((here / name / "best_model/metrics.json").read_text() for name in ("whole", "parts"))
    assert one == other


def test_epochs_milestones_and_adam(here):
    changes = {
        "iters": 1,
        "epochs": 2,
        "batch_size": 100,
        "optimizer__name": "adam",
        "schedule": {"name": "milestones", "milestones": [6, 20]},
        "data__val": "null",
    }
    notes = Notes()
    outcome = train(config(here, **changes), watcher=notes)
    assert outcome.iterations == 8  # 2 · 400 / 100
    assert notes.notices == ["the run ends after 8 iterations, before the milestones [20]"]
    assert train(config(here, **changes | {"epochs": 3}), resume=True).resumed_at == 8


def test_kept_checkpoints_are_gone_on_from(here):
    whole = config(here, save_dir=here / "whole", keep_checkpoints=2, save_interval=3)
    train(whole)
    names = sorted(path.name for path in (here / "whole").glob("*.pt"))
    assert names == ["checkpoint-12.pt", "checkpoint-9.pt", "checkpoint.pt"]
    with pytest.raises(
        ModelError, match=r"checkpoint-6.pt: there is no such checkpoint; in .*checkpoint-9.pt"
    ):
        train(whole, resume=here / "whole/checkpoint-6.pt")
    other = config(here, save_dir=here / "other")
    outcome = train(other, resume=here / "whole/checkpoint-9.pt")
    assert outcome.resumed_at == 9
    assert outcome.best.iteration == 12
    assert_equal_state(here / "whole", here / "other")
    with pytest.raises(OutputError, match="holds the checkpoint of an earlier run"):
        train(other, resume=here / "whole")
    assert train(whole, resume=here / "whole/checkpoint-9.pt").resumed_at == 9  # within its own directory


def test_a_finished_run_is_measured_where_it_goes_on_elsewhere(here):
    train(config(here, save_dir=here / "whole"))
    outcome = train(config(here, save_dir=here / "other"), resume=here / "whole")
    assert (outcome.resumed_at, outcome.best.iteration) == (12, 12)


def test_another_seed_gives_other_weights(here):
    for seed in (0, 1):
        train(
            config(
                here, save_dir=here / str(seed), seed=seed, data__val="null", model__arguments="{dropout: 0}"
            )
        )
    (_, a), (_, b) = state_of(here / "0"), state_of(here / "1")
    assert not torch.equal(a["module.0.weight"], b["module.0.weight"])


def test_the_process_draws_the_numbers_that_it_would_have_drawn(here):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(config(here, iters=2, data__val="null"))
    assert torch.equal(torch.rand(3), expected)


SCRIPT = """
import sys, yaml
from tinyint.train import parse_config, train
import torch
torch.set_num_threads(1)
train(parse_config(yaml.safe_load(open(sys.argv[1]))), resume=True)
"""


def test_a_killed_process_goes_on_to_the_same_bits(here):
    """Killed once a few checkpoints have been written, in whatever it does then. About ten seconds, to import torch."""
    changes = {"iters": 90, "save_interval": 1, "log_interval": 50, "eval_interval": 0, "data__val": "null"}
    train(config(here, save_dir=here / "whole", **changes))
    (here / "run.yaml").write_text(dump_config(config(here, save_dir=here / "parts", **changes)))
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, here / "run.yaml"])
    while process.poll() is None:
        found = load_checkpoint(here / "parts")
        if found is not None and found.iteration > 5:
            break
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    outcome = train(config(here, save_dir=here / "parts", **changes), resume=True)
    assert 5 < outcome.resumed_at < 90
    assert_equal_state(here / "whole", here / "parts")
    assert [p.name for p in (here / "parts").iterdir() if p.name.endswith(".tmp")] == []


def test_a_loss_that_is_not_a_number_stops_and_keeps_what_was_good(here):
    options = {
        "model__source": "tests.train.build:explosive",
        "data__val": "null",
        "save_interval": 1,
        "log_interval": 1,
        "iters": 200,
        "optimizer__learning_rate": 1e-6,
        "schedule__warmup": 0,
    }
    train(config(here, **options | {"iters": 3}))
    good = state_of(here / "out")
    with pytest.raises(DivergedError, match=r"NaN or infinite by iteration .*learning_rate"):
        train(config(here, **options | {"optimizer__learning_rate": 1e4}), resume=True)
    iteration, tensors = state_of(here / "out")
    assert iteration >= good[0]
    assert all(torch.isfinite(t).all() for t in tensors.values() if isinstance(t, torch.Tensor))


def test_a_checkpoint_of_another_model_is_refused(here):
    train(config(here, iters=2, data__val="null"))
    with pytest.raises(
        ModelError, match=r"checkpoint in .* is of the float training of tests.train.build:network"
    ):
        train(config(here, model__arguments="{width: 4}"), resume=True)


def test_a_checkpoint_is_not_overwritten_unasked(here):
    train(config(here, iters=2, data__val="null"))
    with pytest.raises(OutputError, match=r"--resume"):
        train(config(here, iters=2))


def test_changed_keys_are_told(here):
    train(config(here, iters=2, data__val="null"))
    notes = Notes()
    outcome = train(config(here, iters=4, data__val="null", workers=1), resume=True, watcher=notes)
    assert outcome.resumed_at == 2
    assert any("changed since the checkpoint" in n and n.endswith(": iters") for n in notes.notices)


def test_a_damaged_checkpoint_is_named(here):
    (here / "out").mkdir()
    (here / "out" / CHECKPOINT).write_bytes(b"PK\x03\x04 not much")
    with pytest.raises(ModelError, match=r"cannot read the checkpoint .*checkpoint.pt"):
        train(config(here), resume=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_directory_that_cannot_be_written_is_named_before_training(here):
    (here / "locked").mkdir(mode=0o500)
    with pytest.raises(OutputError, match=r"locked"):
        train(config(here, save_dir=here / "locked"))


def test_a_save_dir_that_is_a_file_is_named(here):
    (here / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot make the directory .*file"):
        train(config(here, save_dir=here / "file"))


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"model__input": "[3, 8, 8]"}, DataError, "shape"),
        (
            {"model__arguments": "{classes: 4}"},
            DataError,
            "has the label .*, but the model has the classes 0 to 3",
        ),
        ({"model__arguments": "{depth: 4}"}, RecipeError, "model.arguments .* do not go with"),
        ({"model__source": "tests.train.build:none"}, ModelError, "has no 'none'"),
        ({"model__source": "no.such:one"}, ModelError, "there is no module 'no'"),
        ({"model__source": "tests.train.build:config"}, RecipeError, "do not go with"),
        ({"model__input": "null"}, RecipeError, "model.input is missing"),
        (
            {"model__source": "mobilenet_v2", "model__input": "[8, 9]"},
            RecipeError,
            "takes .channels, height, width",
        ),
        ({"model__source": "none.onnx"}, ModelError, "none.onnx"),
        ({"data__train": "none.npz"}, DataError, "do not exist"),
        ({"loss__teacher": "true"}, RecipeError, "tinyint qat"),
    ],
)
def test_bad_input_is_named_before_training(here, changes, error, told):
    with pytest.raises(error, match=told):
        train(config(here, **changes))
    assert not (here / "out" / CHECKPOINT).exists()


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


def test_curves_are_written(here):
    train(config(here, tensorboard="true", iters=3))
    assert list((here / "out" / "tensorboard").glob("events.*"))


def test_bfloat16_trains_too(here):
    notes = Notes()
    train(config(here, precision="bf16-mixed", iters=6, data__val="null"), watcher=notes)
    exact = Notes()
    train(config(here, iters=6, data__val="null", save_dir=here / "exact"), watcher=exact)
    assert notes.losses == pytest.approx(exact.losses, rel=0.05)
    assert notes.losses != exact.losses


def test_a_run_that_is_complete_says_so_and_changes_nothing(here):
    train(config(here, iters=3))
    before = time.time_ns()
    outcome = train(config(here, iters=3), resume=True)
    assert outcome.resumed_at == 3
    assert outcome.best is not None
    assert (here / "out" / CHECKPOINT).stat().st_mtime_ns < before


def test_a_damaged_file_stops_a_run_or_is_skipped_and_told(tmp_path):
    images, labels = demo_data("test")
    for i in range(12):
        path = tmp_path / "digits" / str(labels[i]) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.uint8(255 * images[i, 0, 6::12, 6::12])).save(path)
    path.write_bytes(path.read_bytes()[:40])
    folder = str(tmp_path / "digits")
    short = {"data__train": folder, "data__val": folder, "data__augment": "{flip: true}", "iters": 4}
    declared = "{color: GRAY}"
    with pytest.raises(DataError, match=rf"cannot read the image {path}"):
        train(config(tmp_path, **short, data__preprocessing=declared))
    notes = Notes()
    short["save_dir"] = str(tmp_path / "skipping")
    train(
        config(tmp_path, **short, data__preprocessing=declared, data__on_error="skip", workers=1),
        watcher=notes,
    )
    told, *others = [notice for notice in notes.notices if "skipped" in notice]
    assert not others  # training and evaluation met the same file
    assert told.startswith(f"1 sample was skipped: cannot read the image {path}")


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


def checkpoint(**changes):
    state = {
        "iteration": 3,
        "identity": "network",
        "config": "iters: 4",
        "module": {"w": torch.arange(200_000.0)},
        "optimizer": {"state": {}, "param_groups": []},
        "precision": {},
        "best": None,
    }
    return state | changes


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.parametrize("room", [0, 10, 5_000, 400_000, 800_500])
def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(room, tmp_path):
    import resource

    save_checkpoint(Checkpoint(**checkpoint()), tmp_path)
    before = (tmp_path / CHECKPOINT).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"checkpoint\.pt.*File too large"):
            save_checkpoint(Checkpoint(**checkpoint(iteration=4)), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"iteration": "3"}, "iteration"),
        ({"iteration": -1}, "iteration"),
        ({"iteration": True}, "iteration"),
        ({"config": None}, "config"),
        ({"module": [1]}, "module"),
        ({"best": 0.5}, "best"),
        ({"more": 1}, "more"),
        ({7: 1}, "7"),
        ({"precision": None, "optimizer": None}, "optimizer, precision"),
    ],
)
def test_a_checkpoint_of_other_fields_is_named(changes, named, tmp_path):
    torch.save(checkpoint(format=1) | changes, tmp_path / "c.pt")
    with pytest.raises(ModelError, match=rf"c\.pt is damaged \({named}\); delete it"):
        load_checkpoint(tmp_path / "c.pt")


@pytest.mark.parametrize(
    "changes",
    [
        {"best": {"nonsense": 1}},
        {"optimizer": {}},
        {"optimizer": {"state": 1, "param_groups": [{}]}},
        {"module": {"x": 1}},
        {"module": {}},
    ],
)
def test_a_checkpoint_that_does_not_fit_the_run_is_told(changes, here):
    run = config(here, iters=4, eval_interval=0)
    train(run)
    path = Path(run.save_dir) / CHECKPOINT
    torch.save(torch.load(path, weights_only=True) | changes, path)
    with pytest.raises(ModelError, match="does not fit this run"):
        train(config(here, iters=6, eval_interval=0), resume=True)


def test_a_best_model_that_is_a_file_is_told(here):
    run = config(here, iters=2, eval_interval=0)
    Path(run.save_dir).mkdir(parents=True)
    (Path(run.save_dir) / "best_model").write_text("mine")
    with pytest.raises(OutputError, match="best_model"):
        train(run)
    assert (Path(run.save_dir) / "best_model").read_text() == "mine"


def test_a_state_that_no_optimizer_leaves_is_told(here):
    train(config(here, iters=1, data__val="null"))
    path = here / "out" / CHECKPOINT
    state = torch.load(path, weights_only=True)
    kept = next(iter(state["optimizer"]["state"].values()))
    kept[next(iter(kept))] = [[]]
    torch.save(state, path)
    with pytest.raises(ModelError, match=r"does not fit this run: the optimizer's .* is a list"):
        train(config(here, iters=2, data__val="null"), resume=True)
