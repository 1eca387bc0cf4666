"""The readers on data in the layouts that `tinyint data make` writes: ImageNet, COCO, optic disc, Cityscapes, GLUE."""

import numpy as np
import pytest

from tests.data.build import spec
from tinyint.data import Boxes, LabelKind, Preprocessing, TextPreprocessing, open_data
from tinyint.extras.synthetic import make

IMAGE = [spec(None, 3, 32, 32)]
IDS = [spec(None, 32, name=name, dtype="int64") for name in ("input_ids", "token_type_ids")]
SMALL = Preprocessing(resize=(32, 32))


@pytest.mark.parametrize(
    ("family", "place", "kind"),
    [
        ("glyphs", "", LabelKind.CLASS),
        ("scenes", "annotations/instances_val.json", LabelKind.BOXES),
        ("fundus", ":val_list.txt", LabelKind.MASK),
        ("streets", ":val", LabelKind.MASK),
        ("sentences", "val.tsv", LabelKind.CLASS),
    ],
)
def test_every_family_is_read_as_what_it_is(tmp_path, family, place, kind):
    made = make(family, tmp_path / family, seed=1, train=2, val=4).family
    name = f"{tmp_path / family}{place}" if place.startswith(":") else tmp_path / family / place
    texts = family == "sentences"
    declared = TextPreprocessing(tokenizer="vocab.txt", max_length=32) if texts else SMALL
    data = open_data(name, IDS if texts else IMAGE, declared)
    samples = list(data)
    assert (len(samples), data.label_kind, data.classes, data.notices) == (4, kind, made.classes, ())
    classes = set(range(len(made.classes)))
    for sample in samples:
        if isinstance(sample.label, Boxes):
            assert set(sample.label.classes.tolist()) <= classes
            height, width = sample.label.size
            assert (sample.label.boxes <= [width, height, width, height]).all()
        else:
            assert set(np.unique(sample.label).tolist()) <= classes | {255}
