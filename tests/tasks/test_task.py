from __future__ import annotations

import pytest
from pydantic import ValidationError

from tinyint.errors import ModelError
from tinyint.metadata import TASK
from tinyint.tasks import Classification, Detection, Segmentation, Task, task_of

YOLO = Detection(classes=("cat", "dog"), anchors=(((32, 48),), ((8, 8), (4.5, 16))), strides=(32, 16))


@pytest.mark.parametrize(
    "info", [Classification(), Classification(classes=("a",)), Segmentation(ignore_label=-1), YOLO]
)
def test_metadata_holds_what_was_saved(info: Task) -> None:
    assert task_of(info.to_metadata()) == info


def test_a_model_need_not_say() -> None:
    assert task_of({"tinyint.target": "x86-vnni"}) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"task": "detektion"}', "unknown task 'detektion': did you mean 'detection'"),
        ('{"task": "segmentation", "ignored": 3}', r"segmentation\.ignored: Extra inputs"),
        ('{"task": "detection", "strides": [8]}', r"detection\.anchors: Field required"),
        ("{", "Invalid JSON"),
    ],
)
def test_a_damaged_entry_says_where(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=f"{TASK} is damaged: {message}"):
        task_of({TASK: text})


def test_every_head_has_anchors_and_a_stride() -> None:
    with pytest.raises(ValidationError, match="anchors for 2 heads and strides for 1"):
        Detection(anchors=YOLO.anchors, strides=(32,))
    with pytest.raises(ValidationError, match="every head needs an anchor"):
        Detection(anchors=(((32, 48),), ()), strides=(32, 16))
    with pytest.raises(ValidationError, match="greater than 0"):
        Detection(anchors=(((32, 0),),), strides=(32,))


def test_classes_have_names_or_numbers() -> None:
    assert (YOLO.name_of(1), YOLO.name_of(2), Segmentation().name_of(7)) == ("dog", "2", "7")
