"""`tinyint train` and `tinyint qat`."""

import json
import shlex
from pathlib import Path

import numpy as np
import yaml

from tests.cli.conftest import Run
from tests.train.build import config, write_digits
from tinyint.train import dump_config


def written(folder: Path) -> Path:
    write_digits(folder)
    path = folder / "run.yaml"
    path.write_text(dump_config(config(folder, iters=2, log_interval=1)))
    return path


def test_from_float_to_int8(here: Path, run: Run, document):
    path = written(here)
    trained = document("train", "-c", path, "--iters", "3", "-o", "optimizer.name=adamw")
    assert trained["iterations"] == 3
    assert trained["proof"] is None
    best = Path(trained["best_model"])
    shown = run("qat", "-c", path, "--model-path", best, "--save-dir", here / "q", "--learning-rate", "0.001")
    assert shown.exit_code == 0, shown.output
    assert "1/2 · loss" in shown.stderr
    assert "left" in shown.stderr
    assert "evaluation after 0" in shown.stderr
    assert "evaluation after 2" in shown.stderr
    assert "of the output elements within 1 LSB" in shown.stdout
    assert (here / "q" / "best_model" / "model.onnx").exists()
    kept = run("train", "-c", path)
    assert kept.exit_code == 2
    assert "--resume" in kept.stderr
    assert (
        document("train", "-c", path, "--iters", "3", "-o", "optimizer.name=adamw", "--resume")["resumed_at"]
        == 3
    )


def test_options_are_the_keys_of_their_names(here: Path, document):
    path = written(here)
    document(
        "train", "-c", path, "--save-dir", here / "b", "--batch-size", "8", "--seed", "3", "--tensorboard"
    )
    import torch

    saved = yaml.safe_load(torch.load(here / "b" / "checkpoint.pt", weights_only=True)["config"])
    assert (saved["batch_size"], saved["seed"], saved["tensorboard"]) == (8, 3, True)


def test_help_config_lists_the_keys(run: Run, document):
    for command in ("train", "qat"):
        keys = {key["name"]: key for key in document(command, "--help-config")["keys"]}
        assert keys["optimizer.learning_rate"]["default"] == "0.01"
    shown = run("train", "--help-config").stdout
    for key in keys.values():  # brackets are no markup
        assert all(word in shown for word in key["meaning"].split() if word.startswith("["))
    assert "quantization.recipe" in shown
    part = [key["name"] for key in document("train", "--help-config", "schedule")["keys"]]
    assert part[:2] == ["schedule.name", "schedule.warmup"]
    assert all(name.startswith("schedule.") for name in part)
    assert [key["name"] for key in document("train", "--help-config", "iters")["keys"]] == ["iters"]


def test_mistakes_end_with_code_2(here: Path, run: Run):
    path = written(here)
    for arguments, told in (
        (["train"], "-c CONFIG"),
        (["train", "-o", "iters=3"], "without -c CONFIG: the key 'model' is missing"),
        (["train", "-c", "none.yaml"], "none.yaml: cannot be read"),
        (["train", "-c", path, "-o", "optimizer.lr=1"], "unknown key 'optimizer.lr'"),
        (["train", "-c", path, "--precision", "8"], "precision: got"),
        (["qat", "-c", path, "--model-path", here / "none.onnx"], "none.onnx"),
        (["qat", "-c", path], "is a network that `tinyint train` builds and trains in float"),
        (["qat", "-c", path, "-o", "model.source=none.onnx"], "no such model file"),
        (["train", "-c", path, "--resume", here / "none.pt"], "none.pt: there is no such checkpoint; in"),
        (["train", "--help-config", "optimiser"], "there is no such key; did you mean"),
        (["train", "-c", path, "more"], "more"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, result.output
        assert told in result.stderr
        assert result.stderr.count("error: ") == 1 or "Error" in result.stderr


def test_a_model_of_the_float_training_is_proposed(here: Path, run: Run):
    path = written(here)
    assert run("train", "-c", path).exit_code == 0
    told = run("qat", "-c", path).stderr
    assert f"--model-path {here / 'out' / 'best_model'}, and a --save-dir of its own" in told


def test_a_model_and_its_data_are_enough_for_qat(here: Path, run: Run, document):
    path = written(here)
    best = document("train", "-c", path)["best_model"]
    data = ["-o", f"data.train={here / 'train.npz'}", f"data.val={here / 'val.npz'}", "batch_size=8"]
    found = document("qat", "--model-path", best, *data, "--iters", "2", "--save-dir", here / "q")
    assert found["iterations"] == 2


def test_several_changes_may_follow_one_option(here: Path, document):
    path = written(here)
    words = [
        "-o",
        "iters=3",
        "optimizer.name=adam",
        "schedule={name: milestones, milestones: [2]}",
        "--seed",
        "4",
    ]
    document("train", *words, "-c", path, "--override=batch_size=8", "optimizer.learning_rate=-0.1", code=2)
    made = document("train", *words, "-c", path, "-obatch_size=8", "optimizer.learning_rate=0.01")
    assert made["iterations"] == 3
    import torch

    saved = yaml.safe_load(torch.load(here / "out" / "checkpoint.pt", weights_only=True)["config"])
    assert saved["optimizer"] == {"learning_rate": 0.01, "name": "adam"}
    assert (saved["schedule"]["milestones"], saved["seed"], saved["batch_size"]) == ([2], 4, 8)


def test_the_commands_that_are_proposed_run(here: Path, run: Run):
    path = written(here)
    words = ["-o", "model.arguments={width: 4}", "optimizer.name=adam", "--batch-size", "8"]
    proposed = [run("train", "-c", path, *words).stdout]
    for _ in range(3):
        for line in proposed.pop().splitlines():
            if line.startswith("next: tinyint "):
                result = run(*shlex.split(line.removeprefix("next: tinyint ")))
                assert result.exit_code == 0, (line, result.output)
                if " qat " in line:
                    assert "--batch-size 8" in line
                    assert "'model.arguments={width: 4}'" in line
                    proposed.append(result.stdout)
        if not proposed:
            break
    assert {"out.int8.onnx", "out-qat", "out-qat.onnx"} <= {made.name for made in here.iterdir()}


def test_a_run_that_cannot_be_ends_with_one_message_and_writes_nothing(here: Path, run: Run):
    path = written(here)
    np.savez(here / "wide.npz", input=np.zeros((4, 3, 5, 5), np.float32), labels=np.zeros(4, np.int64))
    (here / "file").write_text("")
    explosive = ["model.source=tests.train.build:explosive", "optimizer.learning_rate=10000", "data.val=null"]
    assert run("train", "-c", path, "--save-dir", here / "kept").exit_code == 0
    before = (here / "kept" / "checkpoint.pt").read_bytes()
    for folder, arguments, told in (
        ("wide", ["-o", f"data.train={here / 'wide.npz'}"], "the array has shape (4, 3, 5, 5)"),
        ("diverged", ["--iters", 30, *(a for o in explosive for a in ("-o", o))], "became NaN or infinite"),
        ("file/out", [], "cannot make the directory"),
        ("kept", ["--resume", "-o", "model.arguments={width: 4}"], "is of the float training of"),
    ):
        result = run("train", "-c", path, "--save-dir", here / folder, *map(str, arguments))
        assert result.exit_code == 2, result.output
        assert told in result.stderr
        assert result.stderr.count("error: ") == 1
        assert result.stderr.splitlines()[-1].startswith("error: ")
        assert folder == "kept" or not list((here / folder).rglob("*"))
    assert (here / "kept" / "checkpoint.pt").read_bytes() == before


def test_the_document_of_an_error(here: Path, document):
    assert "unknown key" in document("train", "-c", written(here), "-o", "x=1", code=2)["error"]
    json.dumps(document("train", "-c", here / "run.yaml"))
