"""Training, stopping and going on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.train.build import config
from tests.train.runs import Notes, Stop, assert_equal_state, state_of
from tinyint.errors import DataError, DivergedError, ModelError, OutputError, RecipeError
from tinyint.extras.demo import demo_data
from tinyint.runtimes import get_runtime
from tinyint.train import dump_config, train
from tinyint.train.checkpoint import CHECKPOINT, load_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:.*pin_memory.*")


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


def test_a_best_model_that_is_a_file_is_told(here):
    run = config(here, iters=2, eval_interval=0)
    Path(run.save_dir).mkdir(parents=True)
    (Path(run.save_dir) / "best_model").write_text("mine")
    with pytest.raises(OutputError, match="best_model"):
        train(run)
    assert (Path(run.save_dir) / "best_model").read_text() == "mine"
