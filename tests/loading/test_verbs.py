"""Every verb takes what `load` takes."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import tinyint
from tests.loading.test_paddle import needs_paddle, saved  # noqa: F401  a fixture
from tinyint import api
from tinyint.cli.app import app

IMAGES = np.random.default_rng(0).normal(size=(8, 3, 8, 8)).astype(np.float32)


@pytest.fixture
def module():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4)).eval()


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYINT_CACHE_DIR", str(tmp_path / "cache"))


def test_a_module_is_quantized_and_measured(module, tmp_path):
    example, run = torch.zeros(1, 3, 8, 8), tinyint.Run(threads=1)
    labelled = {"input": IMAGES, "label": module(torch.tensor(IMAGES)).argmax(1).numpy()}
    model = tinyint.load(module, example)
    result = tinyint.quantize(
        model,
        tinyint.Samples(IMAGES, limit=4),
        output=tmp_path / "int8.onnx",
        target="generic",
        run=tinyint.Run(threads=1, verify=False),
    )
    assert json.loads(result.model.metadata_props["tinyint.outputs"])["names"] == ["output"]
    assert tinyint.open(model).run({"input": IMAGES})["output"].shape == (8, 4)
    assert api.evaluate(module, labelled, run=run, example_inputs=example).metrics["top1"] == 1
    assert tinyint.compare(model, result.path, tinyint.Samples(IMAGES, limit=2), run=run).rows
    assert api.calibrate(model, tinyint.Samples(IMAGES, limit=2), run=run).samples == 2
    assert (
        tinyint.benchmark([model], measure=tinyint.Measurement(iterations=1, warmup=0))[0].model
        == "the model 'Sequential'"
    )


def test_a_module_is_planned_and_advised(module):
    example = torch.zeros(1, 3, 8, 8)
    assert tinyint.inspect(tinyint.load(module, example)).operators["Conv"] == 1
    assert tinyint.advise(tinyint.load(module, example), IMAGES).recipe


def run(*arguments):
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_a_directory_that_holds_no_model_is_an_error_of_every_command(tmp_path):
    np.save(tmp_path / "data.npy", IMAGES)
    data, target = ("--data", tmp_path / "data.npy"), tmp_path / "out"
    for words in (
        ("inspect", tmp_path),
        ("advise", tmp_path),
        ("bench", tmp_path),
        ("evaluate", tmp_path, *data),
        ("compare", tmp_path, tmp_path, *data),
        ("calibrate", tmp_path, *data, "-o", target),
        ("quantize", tmp_path, *data, "-o", target),
    ):
        code, document = run(*words)
        assert code == 2
        assert "with NAME.json or NAME.pdmodel and NAME.pdiparams" in document["error"], words


@needs_paddle
def test_a_paddle_directory_is_quantized_and_measured(saved, tmp_path):  # noqa: F811
    place = saved / "new"
    np.save(tmp_path / "data.npy", np.load(saved / "expected.npz")["image"])
    words = ("quantize", place, "--data", tmp_path / "data.npy", "-o", tmp_path / "int8.onnx", "--threads", 1)
    code, report = run(*words, "--target", "generic", "--no-verify")
    assert code == 0, report
    assert report["source"] == str(place)
    code, measured = run("bench", place, "--iterations", 1, "--warmup", 0, "--threads", 1)
    assert (code, measured["results"][0]["model"]) == (0, str(place))
