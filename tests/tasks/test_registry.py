"""Which task a model is for."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests.tasks.build import CLASSIFIER, DETECTOR, SEGMENTER
from tinyint.data import LabelKind
from tinyint.errors import DataError, ModelError
from tinyint.tasks import TASKS, Task, infer_task, require_labels
from tinyint.tasks.registry import tasks_for_labels, tasks_with

LOGITS = {"y": np.zeros((2, 3), np.float32)}
MAPS = {"features": np.zeros((2, 3), np.float32), "y": np.zeros((2, 3, 4, 4), np.float32)}
CLASS_MAPS = {"y": np.zeros((2, 4, 4), np.int64)}
POOLED = {"y": np.zeros((2, 3, 1, 1), np.float32)}


@pytest.mark.parametrize(
    ("labels", "outputs", "task"),
    [
        (None, LOGITS, "classification"),
        (None, POOLED, "classification"),
        (None, MAPS, "segmentation"),
        (None, CLASS_MAPS, "segmentation"),
        (LabelKind.CLASS, MAPS, "classification"),
        (LabelKind.MASK, LOGITS, "segmentation"),
    ],
)
def test_a_model_that_does_not_say_its_task_is_told_by_labels_and_else_by_outputs(labels, outputs, task):
    assert infer_task(labels, outputs).task == task


def test_anchors_are_not_to_be_guessed():
    with pytest.raises(ModelError, match="anchors and strides"):
        infer_task(LabelKind.BOXES, LOGITS)


def test_labels_are_those_of_the_task():
    require_labels(LabelKind.CLASS, CLASSIFIER, "images")
    require_labels(None, DETECTOR, "anything")
    with pytest.raises(
        DataError,
        match=r"labelled with class numbers \(classification\), but the model is for detection.*COCO",
    ):
        require_labels(LabelKind.CLASS, DETECTOR, "images")


def test_who_has_what():
    assert tasks_for_labels(LabelKind.MASK) == "segmentation"
    assert tasks_with("with_softmax") == "classification and segmentation"
    assert tasks_with("nms") == "detection"


@pytest.mark.parametrize("task", [CLASSIFIER, DETECTOR, SEGMENTER])
def test_a_task_stands_under_its_name(task: Task) -> None:
    assert TASKS[task.task] is type(task)
    assert task.named() == task.task


def test_what_only_training_needs_is_loaded_by_training_alone():
    code = "import sys, tinyint.tasks; print({'torch', 'pycocotools', 'lightning_fabric'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
