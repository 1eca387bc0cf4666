"""The key `steps` of a recipe, by every way to a quantized model: the verbs, training, and what looks back."""

import json
import re

import numpy as np
import pytest
import torch

import tinyint
from tests.models import depthwise, noise, residual
from tests.quantization.repair.test_equalize import hostile
from tinyint import api, qat
from tinyint.data import Sample
from tinyint.diagnosis.compare import compare
from tinyint.errors import RecordError
from tinyint.graph.io import save_model
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime

SETTINGS = ["weights.granularity=per_tensor", "steps=[equalize]"]
EQUALIZED = tinyint.Recipe.load("default").with_settings(SETTINGS)
ORT = get_runtime("onnxruntime")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYINT_CACHE_DIR", str(tmp_path / "cache"))


def arrays(count=8):
    return np.concatenate([next(iter(sample.values())) for sample in noise(residual(), count)])


def quantized(model, **options):
    run = tinyint.Run(threads=1, **options)
    return tinyint.quantize(
        model, tinyint.Samples(arrays(), limit=6), recipe=EQUALIZED, target="generic", run=run
    )


def test_the_report_says_what_was_done():
    report = quantized(hostile(residual(), 3.0)).report
    (note,) = [note for note in report.notes if note.startswith("equalize")]
    assert re.fullmatch(
        r"equalize: factors of up to 2\^\d on 1\d of 16 channels, in 4 operators with weights", note
    )
    assert "steps:\n- equalize" in report.recipe_yaml
    assert json.dumps(report.to_json())


def test_a_step_without_anything_to_do_says_so():
    report = tinyint.quantize(
        depthwise(),
        [next(iter(s.values())) for s in noise(depthwise(), 4)],
        recipe=EQUALIZED,
        run=tinyint.Run(verify=False),
    ).report
    assert any(note.startswith("equalize: found nothing to do") for note in report.notes)


def test_a_step_that_changed_nothing_leaves_the_record_valid():
    data = [next(iter(s.values())) for s in noise(depthwise(), 4)]
    record = api.calibrate(depthwise(), tinyint.Samples(data, limit=4))
    result = tinyint.quantize(
        depthwise(),
        calibration=record,
        recipe=EQUALIZED,
        run=tinyint.Run(verify=False),
    )
    assert result.record == record


def test_weight_only_models_are_equalized_too():
    model = hostile(residual(), 3.0)
    data = noise(model, 4)

    def error(*settings):
        chosen = ["weights.granularity=per_tensor", *settings]
        int8 = tinyint.quantize(
            model,
            recipe=tinyint.Recipe.load("weight_only").with_settings(chosen),
            run=tinyint.Run(verify=False),
        ).model
        return max(np.abs(ORT.open(int8).run(x)["y"] - ORT.open(model).run(x)["y"]).max() for x in data)

    assert error("steps=equalize") < error() / 10


def test_the_cache_and_records_keep_both_models_apart(tmp_path):
    path, data = tmp_path / "net.onnx", tmp_path / "data.npy"
    save_model(hostile(residual(), 3.0), path)
    np.save(data, arrays())
    plain, equalized = (
        tinyint.quantize(
            path,
            data,
            recipe=tinyint.Recipe.load("default").with_settings(chosen),
            run=tinyint.Run(verify=False),
        ).record
        for chosen in ([], SETTINGS)
    )
    assert plain.model_fingerprint != equalized.model_fingerprint
    assert plain.summaries != equalized.summaries
    again = tinyint.quantize(
        path,
        calibration=equalized,
        recipe=EQUALIZED,
        run=tinyint.Run(verify=False),
    )
    assert again.record == equalized
    with pytest.raises(RecordError, match="a record that was made with this step"):
        tinyint.quantize(
            path,
            calibration=plain,
            recipe=EQUALIZED,
            run=tinyint.Run(verify=False),
        )


def test_a_comparison_looks_at_the_equalized_tensors():
    model = hostile(residual(), 3.0)
    int8 = quantized(model, verify=False).model
    samples = [Sample(inputs, name=str(i)) for i, inputs in enumerate(noise(model, 4))]
    found = compare(model, int8, samples)
    assert found.unmatched == ()
    assert min(row.worst_db for row in found.rows) > 15


def test_training_starts_from_the_equalized_graph_and_exports_it():
    model = hostile(residual(), 3.0)
    recipe = Recipe.load("default").with_settings([*SETTINGS, "samples=8"])
    settings = qat.QatSettings(teacher=True)
    module = qat.prepare(model, arrays(), recipe=recipe, target="generic", settings=settings).eval()
    for sample in noise(model, 2, seed=1):
        x = torch.from_numpy(sample["x"])
        with torch.no_grad():
            expected = ORT.open(model).run(sample)["y"]
            assert np.abs(module.teacher(x).numpy() - expected).max() < 1e-4 * np.abs(expected).max()
            trained = module(x).numpy()
        exported = ORT.open(qat.export(module), optimize=False).run(sample)["y"]
        np.testing.assert_allclose(exported, trained, atol=1e-5 * np.abs(expected).max())
        assert np.abs(trained - expected).max() < 0.1 * np.abs(expected).max()
