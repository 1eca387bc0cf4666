import json
from pathlib import Path

import numpy as np
import pytest

from tests.data.build import IMAGE, save_image
from tinyint.data import Boxes, LabelKind, Preprocessing, open_data
from tinyint.data.coco import read_coco
from tinyint.errors import DataError

RAW = Preprocessing(scale=1, resize=(4, 4))


def annotation(key, bbox, image=7, category=3, **more):
    return {"id": key, "image_id": image, "category_id": category, "bbox": bbox, **more}


def content(*annotations, **changes):
    """Two images of 20×10 (width × height), three categories whose ids have gaps."""
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 20, "height": 10},
            {"id": 2, "file_name": "sub/b.png", "width": 20, "height": 10},
        ],
        "categories": [
            {"id": 90, "name": "cat"},
            {"id": 1, "name": "person"},
            {"id": 3, "name": "dog", "supercategory": "animal"},
        ],
        "annotations": list(annotations),
        **changes,
    }


@pytest.fixture
def write(tmp_path: Path):
    for name in ("a.png", "sub/b.png"):
        save_image(tmp_path / "images" / name, size=(20, 10))

    def written(mapping, name="annotations/instances_val2017.json"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(mapping if isinstance(mapping, str) else json.dumps(mapping), encoding="utf-8")
        return path

    return written


def test_boxes_classes_crowd_and_an_empty_image(write):
    path = write(
        content(
            annotation(10, [2, 1, 5, 4], area=12.5, segmentation=[[0, 0, 1, 1, 2, 2]]),
            annotation(11, [0.5, 0, 10, 9], category=90, iscrowd=1),
        )
    )
    data = open_data(path, [IMAGE], RAW)
    assert (data.label_kind, data.classes, data.notices) == (LabelKind.BOXES, ("person", "dog", "cat"), ())
    first, empty = data
    assert (first.name, empty.name) == ("a.png", "sub/b.png")
    boxes = first.label
    assert isinstance(boxes, Boxes)
    assert boxes.boxes.tolist() == [[2, 1, 7, 5], [0.5, 0, 10.5, 9]]
    assert boxes.classes.tolist() == [1, 2]
    assert boxes.crowd.tolist() == [False, True]
    assert boxes.areas.tolist() == [12.5, 90]
    assert (boxes.size, boxes.image_id) == ((10, 20), 7)
    assert (len(empty.label), empty.label.boxes.shape, empty.label.image_id) == (0, (0, 4), 2)
    assert first.inputs["x"].shape == (1, 3, 4, 4)


def test_a_box_that_leaves_its_image_is_clipped_and_one_outside_is_left_out(write):
    found = read_coco(
        write(
            content(
                annotation(1, [-3, 2, 5, 3]),  # 3 pixels too far to the left
                annotation(2, [15, 5, 10, 10]),  # beyond the lower right corner
                annotation(3, [15, 5, 5.004, 5]),  # rounded as COCO does
                annotation(4, [20, 0, 4, 4]),  # begins where the image ends
                annotation(5, [3, 3, 0, 7]),
            )
        )
    )
    label = found.files[0].label
    assert label.boxes.tolist() == [[0, 2, 2, 5], [15, 5, 20, 10], [15, 5, 20, 10]]
    assert label.areas.tolist() == [6, 25, 25]
    dropped, clipped = found.notices
    assert dropped.startswith("2 boxes of ")
    assert "left out (annotation id 4, [20, 0, 4, 4], …)" in dropped
    assert clipped.startswith("2 boxes of ")
    assert clipped.endswith("leave their image and are clipped to it")


def test_images_without_annotations_have_no_labels(write):
    mapping = content()
    del mapping["annotations"]
    data = open_data(write(mapping), [IMAGE], RAW)
    assert data.label_kind is None
    assert [s.label for s in data] == [None, None]


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("images", "images/x.json"),
        ("images", "x.json"),
        ("val2017", "annotations/instances_val2017.json"),
        ("images/val2017", "annotations/instances_val2017.json"),
    ],
)
def test_where_images_are_looked_for(tmp_path, place, name):
    for image in ("a.png", "sub/b.png"):
        save_image(tmp_path / place / image, size=(20, 10))
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content()))
    assert read_coco(path).files[0].path == tmp_path / place / "a.png"


def test_a_named_folder_and_missing_images(write, tmp_path):
    path = write(content())
    named = f"{tmp_path / 'images'}:{path}"
    assert [s.name for s in open_data(named, [IMAGE], RAW)] == ["a.png", "sub/b.png"]
    (tmp_path / "images" / "sub" / "b.png").unlink()
    with pytest.raises(
        DataError, match=r"instances_val2017\.json, image id 2: there is no image 'sub/b\.png'"
    ):
        open_data(path, [IMAGE], RAW)
    (tmp_path / "images" / "a.png").unlink()
    with pytest.raises(DataError, match=r"'a\.png', is in none of .*name its folder, FOLDER:instances_val"):
        open_data(path, [IMAGE], RAW)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("{", r"json is no valid JSON"),
        ("[]", r"json is no COCO file: it has no list `images`"),
        ({"images": []}, "lists no images"),
        (content(categories={}), "`categories` is a dict, not a list"),
        (content(annotation(5, [1, 1, 2, 2], image=9)), r"json, annotation id 5: there is no image .* id 9"),
        (
            content(annotation(5, [1, 1, 2, 2], category=2)),
            r"annotation id 5: there is no category .* id 2; known",
        ),
        (content(annotation(5, [1, 1, 2])), r"annotation id 5: bbox is \[1, 1, 2\]; expected four"),
        (content(annotation(5, [1, 1, 2, "3"])), "annotation id 5: bbox is"),
        (content(annotation(5, [1, 1, 2, float("nan")])), "annotation id 5: bbox is"),
        (content({"id": 5}), r"annotations\[0\] has no 'image_id' of type int \(got None\)"),
        (
            content(annotation(5, [1, 1, 2, 2]), annotation(5, [1, 1, 3, 3])),
            "2 entries of annotations have the id 5",
        ),
        (content(images=[{"id": 1, "file_name": "a.png"}]), r"images\[0\] has no 'width' of type int"),
        (
            content(images=[{"id": 1, "file_name": "a.png", "width": 0, "height": 4}]),
            "image id 1: the image is said to be 0×4",
        ),
        (content(images=["a.png"]), r"images\[0\] has no 'id'"),
    ],
)
def test_faults_name_file_and_entry(write, mapping, message):
    with pytest.raises(DataError, match=message):
        read_coco(write(mapping))


def test_an_image_of_another_size_than_annotated_is_named(write, tmp_path):
    save_image(tmp_path / "images" / "a.png", size=(10, 20))
    data = open_data(write(content()), [IMAGE], RAW)
    with pytest.raises(DataError, match=r"a\.png is 20×10 .*its annotation says 10×20"):
        list(data)


def test_boxes_need_whole_images(write):
    with pytest.raises(DataError, match="need whole images, but the preprocessing crops them"):
        open_data(write(content()), [IMAGE], Preprocessing(crop=(4, 4)))


def test_categories_are_numbered_whatever_their_order(write):
    path = write(content(*(annotation(key, [1, 1, 2, 2], category=key) for key in (90, 3, 1))))
    np.testing.assert_array_equal(read_coco(path).files[0].label.classes, [2, 1, 0])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("area", [1]),
        ("area", "1"),
        ("area", True),
        ("area", -1),
        ("area", {"a": 1}),
        ("iscrowd", [0]),
        ("iscrowd", 2),
    ],
)
def test_an_area_or_a_crowd_that_is_none_is_named(write, key, value):
    path = write(content(annotation(10, [2, 1, 5, 4], **{key: value})))
    with pytest.raises(DataError, match=rf"annotation id 10: {key} is .*; expected"):
        read_coco(path)
