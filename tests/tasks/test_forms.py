"""One evaluation for a torch module, its graph, the module in training and its int8 file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tinyint
from tests.processor import ORT_TARGET
from tests.tasks import build as tasks
from tinyint import api
from tinyint.errors import ModelError
from tinyint.loading import load
from tinyint.qat.export import export as export_int8
from tinyint.qat.prepare import prepare

MAIN = {"classification": "top1", "segmentation": "miou", "detection": "AP"}


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Path]:
    return {
        "classification": tasks.class_folders(tmp_path / "images"),
        "segmentation": tasks.label_list(tmp_path / "pixels"),
        "detection": tasks.coco(tmp_path / "boxes"),
    }


@pytest.mark.parametrize("task", MAIN)
def test_the_module_in_training_is_evaluated_as_its_int8_file(task: str, data: dict[str, Path]) -> None:
    make = {
        "classification": tasks.classifier,
        "segmentation": tasks.segmenter,
        "detection": tasks.detector,
    }[task]
    calibration = [{"x": np.random.default_rng(i).random((1, 3, 64, 64), np.float32)} for i in range(4)]
    module = prepare(make(), calibration, target=ORT_TARGET).train()
    found = api.evaluate(module, data[task], against=export_int8(module))
    assert (found.task, found.notices) == (task, ())
    assert found.metrics == pytest.approx(found.against)
    assert found.metrics[MAIN[task]] == pytest.approx(1.0)
    assert all(part.training for part in module.modules())
    assert module.steps_done == 0  # nothing was learned from the data


class Doubting(nn.Module):
    """Wrong where its batch norm and dropout work as in training."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = nn.BatchNorm1d(3), nn.Dropout(0.9)
        self.frozen = nn.BatchNorm1d(3).eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.frozen(self.drop(self.norm(x)))


def test_a_module_runs_in_eval_mode_and_is_as_it_was() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(50, 3)).astype(np.float32)
    labelled = {"x": samples, "label": samples.argmax(axis=1)}
    module, example = Doubting().train(), {"example_inputs": torch.zeros(2, 3)}
    module.frozen.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    forms = [
        api.evaluate(module, labelled, **example, run=tinyint.Run(batch_size=8)),
        api.evaluate(module, labelled, runtime="onnxruntime", **example),
        api.evaluate(load(module, torch.zeros(2, 3)), labelled),
    ]
    for found in forms:
        assert found.metrics == {"top1": 1.0, "top5": None, "f1": pytest.approx(1.0), "f1_positive": None}
        assert "taken for classification" in found.notices[0]
    assert (module.training, module.drop.training, module.frozen.training) == (True, True, False)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_two_models_need_the_same_inputs(data: dict[str, Path]) -> None:
    other = tasks.classifier()
    other.graph.inputs[0].name = "image"
    with pytest.raises(ModelError, match=r"has the inputs image .*, .* has x .*must take the same inputs"):
        api.evaluate(tasks.classifier(), data["classification"], against=other)
