"""Made images are in the formats of the real data sets, and show what their labels say."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from tinyint.data.folder import read_folder
from tinyint.data.listfile import read_list
from tinyint.extras.synthetic import FAMILIES, make
from tinyint.extras.synthetic.family import generator
from tinyint.extras.synthetic.fundus import draw_fundus
from tinyint.extras.synthetic.glyphs import CHARACTERS, _letter, draw_glyph
from tinyint.extras.synthetic.scenes import CATEGORY_IDS, CLASSES
from tinyint.extras.synthetic.shapes import SHAPES, Thing
from tinyint.extras.synthetic.streets import LABELS, draw_street


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    root = tmp_path_factory.mktemp("made") / "scenes"
    make("scenes", root, seed=1, train=0, val=32)
    return COCO(str(root / "annotations" / "instances_val.json")), root


def test_glyphs_are_read_as_imagenet_is(tmp_path):
    root = make("glyphs", tmp_path / "g", train=72, val=37, size=32).directory
    train, val = read_folder(root / "train").files, read_list(root / "val_list.txt", root)
    assert [file.label for file in train[:36]] == list(range(36))
    assert len(train) == 72
    assert [file.label for file in val] == [*range(36), 0]
    assert (root / "labels.txt").read_text().split() == list(CHARACTERS)
    with Image.open(val[0].path) as image:
        assert (image.size, image.mode) == ((32, 32), "RGB")


def test_the_characters_all_differ_and_none_is_cut():
    letters = [np.asarray(_letter(label, 0)) for label in range(36)]
    assert len({letter.tobytes() for letter in letters}) == 36
    for letter in letters:
        assert letter[[0, -1]].max() == letter[:, [0, -1]].max() == 0


def test_a_glyph_is_not_the_same_twice():
    pictures = {draw_glyph(generator(0, "train", i), 7).tobytes() for i in range(20)}
    assert len(pictures) == 20


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools, with NumPy 2
def test_boxes_and_areas_are_those_of_the_masks(coco):
    coco, _ = coco
    polygons = 0
    for annotation in coco.loadAnns(coco.getAnnIds()):
        mask = coco.annToMask(annotation).astype(bool)
        x, y, width, height = annotation["bbox"]
        if isinstance(annotation["segmentation"], list):
            polygons += 1
            box = np.zeros_like(mask)
            box[max(y - 1, 0) : y + height + 1, max(x - 1, 0) : x + width + 1] = True
            assert (mask & ~box).sum() <= 2 + 0.03 * mask.sum()  # a tip that is thin, or hidden
            assert abs(int(mask.sum()) - annotation["area"]) < 8 + 0.15 * annotation["area"]
        else:
            rows, columns = np.nonzero(mask)
            seen = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert seen == annotation["bbox"]
            assert mask.sum() == annotation["area"]
    assert 0 < polygons < len(coco.anns)


def test_scenes_have_all_classes_all_sizes_crowds_and_empty_images(coco):
    coco, root = coco
    annotations = coco.loadAnns(coco.getAnnIds())
    areas = np.array([annotation["area"] for annotation in annotations])
    small, large = (areas < 32**2).mean(), (areas >= 96**2).mean()
    assert small > 0.2
    assert large > 0.05
    assert 1 - small - large > 0.2
    assert {annotation["category_id"] for annotation in annotations} == set(CATEGORY_IDS)
    crowds = [annotation for annotation in annotations if annotation["iscrowd"]]
    assert crowds
    assert all(isinstance(crowd["segmentation"], dict) for crowd in crowds)
    assert any(not coco.getAnnIds(image) for image in coco.getImgIds())
    for image in coco.loadImgs(coco.getImgIds()):
        with Image.open(root / "images" / image["file_name"]) as file:
            assert file.size == (image["width"], image["height"])


def test_a_split_without_samples_is_a_valid_file(coco):
    _, root = coco
    document = json.loads((root / "annotations" / "instances_train.json").read_text())
    assert document["images"] == document["annotations"] == []
    assert [category["name"] for category in document["categories"]] == [f"{t} {s}" for s, t in CLASSES]


def test_the_area_of_an_outline():
    square = np.array([[1.0, 1], [4, 1], [4, 3], [1, 3]])
    assert Thing("square", "plain", 0, False, square, 3.0).area() == 6.0
    corners = SHAPES["square"] / np.abs(SHAPES["square"])
    assert sorted(corners.round(6).tolist()) == [[-1, -1], [-1, 1], [1, -1], [1, 1]]


def test_fundus_is_written_as_the_optic_disc_data_are(tmp_path):
    root = make("fundus", tmp_path / "f", train=2, val=1, size=96).directory
    lines = (root / "train_list.txt").read_text().splitlines()
    assert lines[1] == "JPEGImages/train_00000001.jpg Annotations/train_00000001.png"
    assert (root / "labels.txt").read_text().split() == ["background", "disc", "cup", "vessel"]
    image, annotation = (Image.open(root / path) for path in lines[0].split())
    with image, annotation:
        assert (image.format, annotation.mode) == ("JPEG", "P")
        assert image.size == annotation.size == (96, 96)
        assert set(np.unique(np.asarray(annotation))) <= {0, 1, 2, 3}


def test_the_disc_is_bright_and_the_vessels_are_dark():
    for index in range(8):
        image, labels = draw_fundus(generator(2, "val", index), 128)
        green = np.asarray(image)[..., 1].astype(float)
        assert set(np.unique(labels)) == {0, 1, 2, 3}
        assert green[(labels == 1) | (labels == 2)].mean() > green[labels == 3].mean() + 5


def test_streets_are_laid_out_as_cityscapes_is(tmp_path):
    root = make("streets", tmp_path / "s", train=2, val=1, size=64).directory
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    assert found == [
        "gtFine/train/eastwick/eastwick_000000_000019_gtFine_labelIds.png",
        "gtFine/train/northam/northam_000001_000019_gtFine_labelIds.png",
        "gtFine/val/southmoor/southmoor_000000_000019_gtFine_labelIds.png",
        "leftImg8bit/train/eastwick/eastwick_000000_000019_leftImg8bit.png",
        "leftImg8bit/train/northam/northam_000001_000019_leftImg8bit.png",
        "leftImg8bit/val/southmoor/southmoor_000000_000019_leftImg8bit.png",
    ]
    with Image.open(root / found[0]) as labels, Image.open(root / found[3]) as image:
        assert (labels.mode, image.mode) == ("L", "RGB")
        assert labels.size == image.size == (128, 64)


def test_streets_have_every_class_and_pixels_that_are_ignored():
    seen = np.unique([draw_street(generator(0, "train", index), 64)[1] for index in range(40)])
    evaluated = {label for label, _ in LABELS.values()}
    assert evaluated <= set(seen)
    assert set(seen) - evaluated
    assert seen.max() <= 33


def test_every_family_says_what_it_is():
    for name, family in FAMILIES.items():
        assert family.name == name
        assert family.title
        assert len(set(family.classes)) == len(family.classes) > 1
