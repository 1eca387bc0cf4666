"""Quantization-aware training through the same loop."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.processor import ORT_TARGET
from tests.train.build import config
from tests.train.test_loop import Notes, Stop, assert_equal_state, state_of
from tinyint.data import Preprocessing
from tinyint.data.declared import saved_preprocessing
from tinyint.errors import DataError, ModelError, RecipeError
from tinyint.graph.io import is_quantized, load_model
from tinyint.qat import QatSettings
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.runtimes import get_runtime
from tinyint.train import qat, train
from tinyint.train.launch import RECORD

QAT = {"optimizer__learning_rate": 0.01, "quantization__target": ORT_TARGET}


@pytest.fixture(scope="module")
def best(digits, tmp_path_factory) -> Path:
    """The best_model/ of a float training."""
    folder = tmp_path_factory.mktemp("float")
    outcome = train(config(digits, save_dir=folder, iters=60, save_interval=0, eval_interval=0))
    return Path(outcome.best_model)


def test_the_best_int8_model_computes_what_was_trained(here, best):
    outcome = qat(config(here, **QAT), best)
    assert is_quantized(load_model(Path(outcome.best_model) / "model.onnx"))
    assert not is_quantized(load_model(Path(outcome.best_model) / "float.onnx"))
    assert outcome.proof.same_top1 == 1.0
    assert outcome.proof.within_1_lsb > 0.999
    metrics = json.loads((Path(outcome.best_model) / "metrics.json").read_text())
    assert metrics["proof"] == asdict(outcome.proof)
    session = get_runtime("onnxruntime").open(Path(outcome.best_model) / "model.onnx")
    with np.load(here / "val.npz") as val:
        logits = session.run({session.inputs[0].name: val["input"]})["output"]
        assert (logits.argmax(1) == val["labels"]).mean() == pytest.approx(outcome.best.value)


@pytest.mark.parametrize(
    "training",
    [
        "{activations: lsq+, weights: lsq}",
        "{activations: range_absmax, window: 3, freeze_after: 5}",
        "{batch_norm: trained, reestimation_batches: 2, freeze_statistics_after: 8}",
    ],
    ids=["learned", "followed then frozen", "trained batch norms"],
)
def test_a_run_that_was_stopped_ends_with_the_same_bits(here, best, training):
    options = QAT | {"quantization__training": training, "save_interval": 4}
    whole, parts = (config(here, save_dir=here / name, **options) for name in ("whole", "parts"))
    qat(whole, best)
    for stop in (6, 9):
        with pytest.raises(KeyboardInterrupt):
            qat(parts, best, resume=stop > 6, watcher=Stop(stop))
    qat(parts, best, resume=True)
    assert_equal_state(here / "whole", here / "parts")


def test_batch_norms_are_reestimated_for_the_exported_model_alone(here, best):
    training = {"quantization__training": "{batch_norm: trained, reestimation_batches: 4}"}
    for name, interval in (("often", 3), ("once", 0)):
        outcome = qat(config(here, save_dir=here / name, eval_interval=interval, **QAT | training), best)
        assert outcome.proof.same_top1 == 1.0
        assert outcome.proof.within_1_lsb > 0.999
        assert outcome.best.value > 0.8
    assert_equal_state(here / "often", here / "once")


@pytest.mark.parametrize("kind", ["relative", "kl"])
def test_a_teacher_needs_no_labels(here, best, kind):
    with np.load(here / "train.npz") as known:
        np.savez(here / "unlabelled.npz", input=known["input"])
    notes = Notes()
    options = QAT | {"data__train": here / "unlabelled.npz", "data__val": here / "unlabelled.npz"}
    outcome = qat(config(here, loss__teacher="true", loss__teacher_loss=kind, **options), best, watcher=notes)
    assert outcome.best.metric == {"relative": "sqnr_db", "kl": "agreement"}[kind]
    assert outcome.best.value > {"relative": 25, "kl": 0.95}[kind]
    with pytest.raises(DataError, match=r"has no label.*loss.teacher"):
        qat(config(here, save_dir=here / "other", **options), best)


def test_a_checkpoint_of_another_recipe_is_refused(here, best):
    qat(config(here, iters=2, **QAT), best)
    with pytest.raises(ModelError, match=r"is of the QAT .*: choose another save_dir"):
        qat(config(here, quantization__set="[weights.granularity=per_tensor]", **QAT), best, resume=True)
    with pytest.raises(ModelError, match=r"is of the QAT .*, this run is the float training"):
        train(config(here), resume=True)


def test_a_model_that_is_quantized_already_is_refused(here, best):
    outcome = qat(config(here, iters=1, data__val="null", **QAT), best)
    with pytest.raises(ModelError, match="quantized already"):
        qat(config(here, save_dir=here / "again", **QAT), outcome.best_model)


def test_a_recipe_without_training_is_refused(here, best):
    with pytest.raises(RecipeError, match="method"):
        qat(config(here, quantization__recipe="dynamic", **QAT), best)


def test_without_a_path_the_source_of_the_config_is_trained(here, best):
    options = {"model__source": best / "model.onnx", "model__input": "null", "iters": 1, "data__val": "null"}
    assert qat(config(here, **options, **QAT)).iterations == 1


def test_oscillating_weights_survive_a_stop(here, best):
    options = QAT | {"quantization__training": "{freeze_oscillating: 0.01}", "optimizer__learning_rate": 0.05}
    whole, parts = (config(here, save_dir=here / name, **options) for name in ("whole", "parts"))
    qat(whole, best)
    with pytest.raises(KeyboardInterrupt):
        qat(parts, best, watcher=Stop(9))
    qat(parts, best, resume=True)
    assert_equal_state(here / "whole", here / "parts")


def test_the_seed_decides(here, best):
    for name in ("a", "b"):
        qat(config(here, save_dir=here / name, iters=3, data__val="null", **QAT), best)
    assert_equal_state(here / "a", here / "b")
    assert isinstance(state_of(here / "a")[1]["module.tracker.ends"], torch.Tensor)


SLIM = """
quant_config = {
    'weight_quantize_type': 'channel_wise_abs_max', 'activation_quantize_type': 'range_abs_max',
    'window_size': 5, 'moving_rate': 0.9, 'quantize_op_types': ['conv2d', 'mul'],
    'learning_rate': 0.1,
}
"""


def test_a_config_of_paddleslims_says_how_ranges_are_trained(here, best):
    (here / "slim.py").write_text(SLIM)
    notes = Notes()
    given = config(here, **QAT, iters=2, quantization__recipe=str(here / "slim.py"))
    outcome = qat(given, best, watcher=notes)
    recipe, training, _ = given.quantization.resolved()
    assert (training.activations, training.window) == ("range_absmax", 5)
    assert recipe.op_types == ("Conv", "Gemm", "MatMul")
    assert is_quantized(load_model(Path(outcome.best_model) / "model.onnx"))
    assert any("`learning_rate: 0.1` is not honoured" in note for note in notes.notices)
    other = config(
        here, quantization__recipe=str(here / "slim.py"), quantization__training="{activations: lsq}"
    )
    assert other.quantization.resolved()[1] == QatSettings(activations="lsq")


def test_the_calibrated_model_is_measured_before_the_first_step(here, best):
    notes = Notes()
    ruined = config(here, **QAT | {"optimizer__learning_rate": 5, "schedule__name": "constant", "iters": 6})
    outcome = qat(ruined, best, watcher=notes)
    assert [evaluation.iteration for evaluation in notes.evaluations] == [0, 6]
    assert notes.evaluations[0].value > notes.evaluations[1].value
    assert outcome.best == notes.evaluations[0]
    metrics = json.loads((Path(outcome.best_model) / "metrics.json").read_text())
    assert metrics["iteration"] == 0


def test_a_finished_run_that_goes_on_says_what_was_found_before(here, best):
    settings = config(here, **QAT)
    outcome = qat(settings, best)
    assert outcome.proof is not None
    assert qat(settings, best, resume=True).proof == outcome.proof
    metrics = Path(outcome.best_model) / "metrics.json"
    metrics.unlink()
    anew = qat(settings, best, resume=True)
    assert asdict(anew.proof) == json.loads(metrics.read_text())["proof"]
    metrics.write_text("{")
    with pytest.raises(ModelError, match=r"best_model/metrics\.json': .*; delete it"):
        qat(settings, best, resume=True)


def test_steps_that_read_the_data_decide_before_the_training(here, best):
    notes, steps = Notes(), {"quantization__set": '["steps=[equalize, absorb_bias]"]'}
    outcome = qat(config(here, **QAT | steps), best, watcher=notes)
    assert [note.split(":")[0] for note in notes.notices[:2]] == ["equalize", "absorb_bias"]
    assert "absorb_bias" in CalibrationRecord.load(here / "out" / RECORD).decisions
    assert outcome.proof.same_top1 == 1.0
    assert outcome.proof.within_1_lsb > 0.999


@pytest.mark.parametrize("augment", ["{}", "{noise: 0.1}"], ids=["as they are", "augmented"])
def test_a_model_of_pixels_is_trained_on_preprocessed_images(here, best, augment):
    """Of augmented images, the nearest pixels."""
    declared = {
        "data__preprocessing": "{scale: 1/85, mean: 1.5, color: GRAY}",
        "quantization__set": "[fold_preprocessing=true]",
    }
    outcome = qat(config(here, data__augment=augment, data__val="null", **QAT, **declared), best)
    assert outcome.proof.same_top1 == 1.0
    assert outcome.proof.within_1_lsb > 0.999
    model = load_model(Path(outcome.best_model) / "model.onnx")
    assert model.graph.inputs[0].dtype.name == "UINT8"
    assert saved_preprocessing(model.metadata_props) == Preprocessing(scale=1.0, layout="NHWC", color="GRAY")
    session = get_runtime("onnxruntime").open(model)
    with np.load(here / "val.npz") as val:
        pixels = np.rint((val["input"] + 1.5) * 85).astype(np.uint8).transpose(0, 2, 3, 1)
        logits = session.run({session.inputs[0].name: pixels})["output"]
        assert (logits.argmax(1) == val["labels"]).mean() > 0.8


def test_what_is_folded_must_be_declared(here, best):
    with pytest.raises(DataError, match="none is declared"):
        qat(config(here, quantization__set="[fold_preprocessing=true]", **QAT), best)
