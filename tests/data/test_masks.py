import numpy as np
import pytest
from PIL import Image

from tests.data.build import save_image, spec
from tinyint.data import LabelKind, Preprocessing, open_data, stack
from tinyint.data.cityscapes import CLASSES
from tinyint.errors import DataError

INPUT = spec(None, 3, None, None)
RAW = Preprocessing(scale=1)


def save_mask(path, values, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values, np.uint8))
    if mode == "P":
        image.putpalette(bytes(range(256)) * 3)
    else:
        image = image.convert(mode)
    image.save(path)
    return path


@pytest.fixture
def disc(tmp_path):
    """The layout of the optic-disc set: images, label images, a list."""
    save_image(tmp_path / "JPEGImages" / "a.png", size=(4, 2))
    save_mask(tmp_path / "Annotations" / "a.png", [[0, 1, 1, 255], [0, 0, 1, 0]], "P")
    (tmp_path / "train_list.txt").write_text("JPEGImages/a.png Annotations/a.png\n")
    return tmp_path


def test_a_list_of_images_and_label_images(disc):
    for named in (disc, f"{disc}:train_list.txt", disc / "train_list.txt"):
        data = open_data(named, [INPUT], RAW)
        (sample,) = data
        assert data.label_kind == LabelKind.MASK
        assert sample.label.dtype == np.uint8
        assert sample.label.tolist() == [[0, 1, 1, 255], [0, 0, 1, 0]]
        assert sample.name == "JPEGImages/a.png"


def test_a_label_image_is_resized_to_the_nearest_pixel_and_cropped_as_its_image(disc):
    columns = np.arange(8, dtype=np.uint8)
    Image.fromarray(np.repeat(columns[None, :], 4, 0)).convert("RGB").save(disc / "JPEGImages" / "a.png")
    save_mask(disc / "Annotations" / "a.png", np.repeat(columns[None, :], 4, 0))
    preprocessing = Preprocessing(scale=1, resize=(8, 16), interpolation="nearest", crop=(4, 6))
    (sample,) = open_data(disc, [INPUT], preprocessing)
    # every column twice, then the 6 in the middle of 16: columns 5 to 10
    assert sample.label.tolist() == [[2, 3, 3, 4, 4, 5]] * 4
    np.testing.assert_array_equal(sample.inputs["x"][0, 0], sample.label)
    (sample,) = open_data(disc, [INPUT], Preprocessing(resize=(2, 3)))
    assert set(sample.label.ravel()) <= set(columns.tolist())
    assert sample.label.shape == sample.inputs["x"].shape[2:] == (2, 3)


def test_masks_of_a_fixed_batch_are_joined(disc):
    (disc / "train_list.txt").write_text("JPEGImages/a.png Annotations/a.png\n" * 2)
    (sample,) = open_data(disc, [spec(2, 3, 2, 4)], RAW)
    assert sample.label.shape == (2, 2, 4)
    assert stack([sample])["x"].shape == (2, 3, 2, 4)


def test_faults_of_label_images_are_named(disc):
    save_mask(disc / "Annotations" / "a.png", np.zeros((2, 4)), "RGB")
    with pytest.raises(DataError, match=r"Annotations/a\.png is of mode RGB; expected class numbers"):
        list(open_data(disc, [INPUT], RAW))
    save_mask(disc / "Annotations" / "a.png", np.zeros((4, 2)))
    with pytest.raises(DataError, match=r"Annotations/a\.png is 4×2, but .*JPEGImages/a\.png is 2×4"):
        list(open_data(disc, [INPUT], RAW))
    (disc / "Annotations" / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"cannot read the label image .*Annotations/a\.png"):
        list(open_data(disc, [INPUT], RAW))
    (disc / "Annotations" / "a.png").unlink()
    with pytest.raises(
        DataError, match=r"train_list\.txt, line 1: there is no label image 'Annotations/a\.png'"
    ):
        open_data(disc, [INPUT], RAW)


@pytest.fixture
def cityscapes(tmp_path):
    """Two images of Aachen, one of Bonn; labels by id: road, sky, bicycle, license plate, and the unlabelled 0."""
    for city, name in [("aachen", "aachen_0"), ("aachen", "aachen_1"), ("bonn", "bonn_0")]:
        save_image(tmp_path / "leftImg8bit" / "val" / city / f"{name}_leftImg8bit.png", size=(5, 1))
        save_mask(tmp_path / "gtFine" / "val" / city / f"{name}_gtFine_labelIds.png", [[7, 23, 33, 255, 0]])
    return tmp_path


def test_cityscapes_ids_become_the_19_classes_and_cities_take_turns(cityscapes):
    data = open_data(f"{cityscapes}:val", [INPUT], RAW)
    samples = list(data)
    assert [s.name.split("/")[-1] for s in samples] == [
        "aachen_0_leftImg8bit.png",
        "bonn_0_leftImg8bit.png",
        "aachen_1_leftImg8bit.png",
    ]
    assert samples[0].label.tolist() == [[0, 10, 18, 255, 255]]
    assert (data.label_kind, data.classes) == (LabelKind.MASK, CLASSES)
    assert len(CLASSES) == 19
    assert (CLASSES[0], CLASSES[10], CLASSES[18]) == ("road", "sky", "bicycle")


def test_train_ids_are_taken_as_they_are(cityscapes):
    for path in sorted(cityscapes.glob("gtFine/val/*/*_labelIds.png")):
        save_mask(path.with_name(path.name.replace("labelIds", "labelTrainIds")), [[0, 18, 255, 1, 2]])
    samples = list(open_data(f"{cityscapes}:val", [INPUT], RAW))
    assert samples[2].label.tolist() == [[0, 18, 255, 1, 2]]
    bad = cityscapes / "gtFine" / "val" / "bonn" / "bonn_0_gtFine_labelTrainIds.png"
    save_mask(bad, [[0, 19, 255, 1, 2]])
    with pytest.raises(
        DataError, match=r"bonn_0_gtFine_labelTrainIds\.png holds the unknown id 19 \(row 0, column 1\)"
    ):
        list(open_data(f"{cityscapes}:val", [INPUT], RAW))


def test_faults_of_the_layout_are_named(cityscapes):
    for named in (cityscapes, f"{cityscapes}:train"):
        with pytest.raises(DataError, match=r"layout of Cityscapes, and has no split .*name it: .*:val"):
            open_data(named, [INPUT], RAW)
    (cityscapes / "gtFine" / "val" / "bonn" / "bonn_0_gtFine_labelIds.png").unlink()
    with pytest.raises(
        DataError, match=r"bonn_0_leftImg8bit\.png has no label image .*bonn_0_gtFine_labelIds\.png"
    ):
        open_data(f"{cityscapes}:val", [INPUT], RAW)
    for path in cityscapes.glob("gtFine/val/*/*.png"):
        path.unlink()
    data = open_data(f"{cityscapes}:val", [INPUT], RAW)
    assert data.notices == (f"there are no label images for val in {cityscapes}",)
    assert data.label_kind is None
