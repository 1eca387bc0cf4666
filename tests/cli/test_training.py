"""`tinyint train` and `tinyint qat`."""

import json
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
    assert "quantization.recipe" in shown


def test_mistakes_end_with_code_2(here: Path, run: Run):
    path = written(here)
    for arguments, told in (
        (["train"], "-c CONFIG"),
        (["train", "-c", "none.yaml"], "none.yaml: cannot be read"),
        (["train", "-c", path, "-o", "optimizer.lr=1"], "unknown key 'optimizer.lr'"),
        (["train", "-c", path, "--precision", "8"], "precision: got"),
        (["qat", "-c", path, "--model-path", here / "none.onnx"], "none.onnx"),
        (["qat", "-c", path], "no such model file"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, result.output
        assert told in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_run_that_cannot_be_ends_with_one_message_and_writes_nothing(here: Path, run: Run):
    path = written(here)
    np.savez(here / "wide.npz", input=np.zeros((4, 3, 5, 5), np.float32), labels=np.zeros(4, np.int64))
    (here / "file").write_text("")
    explosive = ["model.source=tests.train.build:explosive", "optimizer.learning_rate=10000", "data.val=null"]
    assert run("train", "-c", path, "--save-dir", here / "kept").exit_code == 0
    before = (here / "kept" / "checkpoint.pt").read_bytes()
    for folder, arguments, told in (
        ("wide", ["-o", f"data.train={here / 'wide.npz'}"], "the array has shape (1, 3, 5, 5)"),
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
