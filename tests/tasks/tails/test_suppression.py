from __future__ import annotations

import json

import pytest

from tinyint.errors import DataError, ModelError
from tinyint.metadata import SUPPRESSION
from tinyint.tasks.tails import Suppression, suppression_of


def test_metadata_holds_what_was_saved() -> None:
    settings = Suppression(score_threshold=0.25, max_detections=7)
    (text,) = settings.to_metadata().values()
    assert json.loads(text) == {"score_threshold": 0.25, "iou_threshold": 0.45, "max_detections": 7}
    assert suppression_of(settings.to_metadata()) == settings
    assert suppression_of({"tinyint.postprocess": "detections"}) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Invalid JSON"),
        ('{"threshold": 0.5}', "threshold: Unexpected"),
        ('{"max_detections": 1.5}', "max_detections: Input should be a valid integer"),
        ('{"iou_threshold": 2}', "iou_threshold is 2.0; expected a number from 0 to 1"),
    ],
)
def test_a_damaged_entry_says_where(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=f"{SUPPRESSION} is damaged: {message}"):
        suppression_of({SUPPRESSION: text})


def test_settings_that_cannot_be() -> None:
    with pytest.raises(DataError, match=r"score_threshold is 1.5; expected a number from 0 to 1"):
        Suppression(score_threshold=1.5)
    with pytest.raises(DataError, match="max_detections is 0"):
        Suppression(max_detections=0)
