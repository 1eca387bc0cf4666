import numpy as np
import pytest

from tinyint.data.labels import Boxes, LabelKind

NO_BOXES = Boxes(
    boxes=np.zeros((0, 4), np.float32),
    classes=np.zeros(0, np.int64),
    crowd=np.zeros(0, bool),
    areas=np.zeros(0, np.float32),
    size=(4, 6),
    image_id=1,
)


@pytest.mark.parametrize(
    ("label", "kind"),
    [(3, LabelKind.CLASS), (NO_BOXES, LabelKind.BOXES), (None, None), (np.zeros((2, 2), np.uint8), None)],
)
def test_the_kind_of_a_label(label, kind):
    assert LabelKind.of(label) is kind


def test_every_kind_says_in_what_form_it_comes():
    assert LabelKind.BOXES.forms == "FOLDER:instances.json (COCO)"
    assert len({kind.forms for kind in LabelKind}) == 3
