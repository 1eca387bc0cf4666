"""Labels follow their images, whatever happens to these."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tinyint.data import Boxes, LabelKind, Preprocessing, Sample
from tinyint.data.picture import Picture
from tinyint.errors import DataError, RecipeError
from tinyint.train import parse_config
from tinyint.train.augment import augment, check_augmentation
from tinyint.train.config import Augmentation
from tinyint.train.picture import PictureAugmenter, seen_boxes
from tinyint.train.views import View, crop_view, expanded_view, part_view, scaled_view

SEEDS = st.integers(0, 2**32 - 1)
NEAREST = Image.Resampling.NEAREST


def boxes(*rows, size=(60, 80)):
    found = np.array(rows, np.float32).reshape(-1, 4)
    sides = found[:, 2:] - found[:, :2]
    n = len(found)
    return Boxes(found, np.arange(n), np.zeros(n, bool), sides[:, 0] * sides[:, 1], size, 1)


def image_sample(values, label=None):
    return Sample({"x": np.array(values, np.float32)}, label, "one")


def changed(values, options, seed):
    return augment(image_sample(values), options, np.random.default_rng(seed)).inputs["x"]


def test_a_flip_mirrors_and_a_shift_repeats_the_border():
    image = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    seen = {changed(image, Augmentation(flip=True), i).tobytes() for i in range(20)}
    assert seen == {image.tobytes(), np.ascontiguousarray(image[..., ::-1]).tobytes()}
    moved = {changed(image, Augmentation(shift=1), i).tobytes() for i in range(99)}
    assert len(moved) == 9
    assert np.float32([[[[0, 0, 1], [0, 0, 1]]]]).tobytes() in moved  # down and to the right


def test_noise_has_its_deviation_and_integers_are_refused():
    noisy = changed(np.zeros((1, 1, 100, 100)), Augmentation(noise=0.5), 0)
    assert noisy.std() == pytest.approx(0.5, rel=0.05)
    assert noisy.dtype == np.float32
    with pytest.raises(DataError, match=r"data.augment is for float images"):
        augment(Sample({"x": np.zeros((1, 5), np.int64)}), Augmentation(noise=0.5), np.random.default_rng(0))


def mirrored(sample, layout="NCHW"):
    """The sample, mirrored for sure."""
    found = (augment(sample, Augmentation(flip=True), np.random.default_rng(i), layout) for i in range(50))
    return next(s for s in found if not np.array_equal(s.inputs["x"], sample.inputs["x"]))


def test_labels_are_mirrored_with_their_images():
    row = np.float32([[[[1, 2, 3]]]])
    mask = np.uint8([[0, 1, 255]])
    assert mirrored(Sample({"x": row}, mask)).label.tolist() == [[255, 1, 0]]
    # 80 wide: 10 to 30 from the left is 10 to 30 from the right
    found = mirrored(Sample({"x": row}, boxes([10, 5, 30, 20]))).label
    assert found.boxes.tolist() == [[50, 5, 70, 20]]
    assert mirrored(Sample({"x": row}, 3)).label == 3


def test_channels_that_come_last_are_not_mirrored():
    pixels = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    assert mirrored(Sample({"x": pixels}), "NHWC").inputs["x"].tolist() == [[[[3, 4, 5], [0, 1, 2]]]]


def test_a_shift_leaves_no_mask_behind():
    sample = image_sample(np.zeros((1, 1, 2, 2)), np.zeros((2, 2), np.uint8))
    with pytest.raises(DataError, match="shift is for class numbers; one has another label"):
        augment(sample, Augmentation(shift=1), np.random.default_rng(0))


def test_a_view_beyond_the_image_is_filled():
    image = Image.fromarray(np.uint8([[1, 2], [3, 4]]))
    seen = View(-1, -1, 4, 2).cut(image, (4, 2), NEAREST, 9)
    assert np.array(seen).tolist() == [[9, 9, 9, 9], [9, 1, 2, 9]]
    assert np.array(View(0, 0, 1, 2).cut(image, (2, 2), NEAREST, 9)).tolist() == [[1, 1], [3, 3]]
    assert np.array(View(5, 5, 1, 1).cut(image, (1, 1), NEAREST, 9)).tolist() == [[9]]


def test_boxes_are_those_whose_centre_is_seen():
    found = seen_boxes(boxes([0, 0, 20, 20], [30, 30, 50, 50], [15, 5, 35, 25]), View(20, 0, 40, 40))
    # the first one's centre is outside; the second, at (40, 40), just as well; the third's is (25, 15)
    assert found.boxes.tolist() == [[0, 5, 15, 25]]
    assert found.classes.tolist() == [2]
    assert found.areas.tolist() == [300]
    assert found.size == (40, 40)


@given(SEEDS, st.integers(1, 90), st.integers(1, 90))
def test_a_part_lies_in_the_image_and_has_its_share(seed, width, height):
    view = part_view((width, height), (0.3, 0.6), np.random.default_rng(seed))
    assert view.left >= 0
    assert view.top >= 0
    assert view.left + view.width <= width + 1e-9
    assert view.top + view.height <= height + 1e-9
    assert 3 / 4 - 1e-9 <= view.width / view.height <= 4 / 3 + 1e-9


@given(SEEDS, st.floats(0.3, 1), st.floats(1, 3))
def test_a_scaled_view_holds_the_image_or_lies_in_it(seed, least, most):
    view = scaled_view((80, 60), (40, 30), (40, 30), (least, most), np.random.default_rng(seed))
    zoom = 40 / view.width * 80 / 40  # of the resized image
    assert least - 1e-6 <= zoom <= most + 1e-6
    inside = view.left >= -1e-6 and view.left + view.width <= 80 + 1e-6
    around = view.left <= 1e-6 and view.left + view.width >= 80 - 1e-6
    assert inside if zoom >= 1 else around


@given(SEEDS)
def test_an_expanded_view_holds_the_image_and_a_crop_holds_the_centre_of_an_object(seed):
    generator = np.random.default_rng(seed)
    whole = View(0, 0, 80, 60)
    wide = expanded_view(whole, 4, generator)
    assert wide.left <= 0 <= 80 <= wide.left + wide.width <= 80 * 4 + 1
    assert wide.top <= 0 <= 60 <= wide.top + wide.height <= 60 * 4 + 1
    part = crop_view(whole, boxes([10, 10, 30, 40], [50, 5, 70, 25]).boxes, generator)
    assert part.left >= 0
    assert part.left + part.width <= 80
    assert part.holds(np.float32([20, 60]), np.float32([25, 15])).any()


@settings(deadline=None)
@given(SEEDS)
def test_a_box_stays_around_its_object(seed):
    """A white object on black: after crop and expansion, its pixels fill its box, to a pixel."""
    pixels = np.zeros((60, 80), np.uint8)
    pixels[20:40, 30:60] = 255
    change = PictureAugmenter(
        Augmentation(crop=0.7, expand=3), Preprocessing(color="GRAY", resize=(64, 64)), (64, 64), 255
    )
    picture = Picture(Image.fromarray(pixels), boxes([30, 20, 60, 40]))
    seen = change(picture, np.random.default_rng(seed))
    (box,) = seen.label.boxes * np.float32([64 / seen.label.size[1], 64 / seen.label.size[0]] * 2)
    rows, columns = np.nonzero(np.asarray(seen.image) > 127)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(found, box, atol=1.01)


@settings(deadline=None)
@given(SEEDS)
def test_a_mask_stays_on_its_image(seed):
    pixels = np.random.default_rng(seed).integers(1, 5, (20, 30)).astype(np.uint8)
    preprocessing = Preprocessing(
        color="GRAY", scale=1, resize=(40, 60), crop=(24, 32), interpolation="nearest"
    )
    change = PictureAugmenter(Augmentation(scale=(0.3, 2)), preprocessing, (32, 24), 255)
    seen = change(Picture(Image.fromarray(pixels), pixels.copy()), np.random.default_rng(seed))
    image, mask = np.asarray(seen.image), seen.label
    assert image.shape == mask.shape == (24, 32)
    np.testing.assert_array_equal(image == 0, mask == 255)  # what lies outside
    np.testing.assert_array_equal(image[mask != 255], mask[mask != 255])


def test_without_a_view_pictures_are_as_declared():
    preprocessing = Preprocessing(color="GRAY", resize=4, crop=(2, 2))
    picture = Picture(Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)), 1)
    seen = PictureAugmenter(Augmentation(), preprocessing, (2, 2), 255)(picture, np.random.default_rng(0))
    np.testing.assert_array_equal(seen.image, preprocessing.place(picture.image))


def colors(pixel, seed=0, **options):
    change = PictureAugmenter(Augmentation(**options), Preprocessing(), None, 255)
    seen = change(Picture(Image.new("RGB", (1, 1), pixel), None), np.random.default_rng(seed))
    return seen.image.getpixel((0, 0))


def test_colors_change_within_their_share():
    grays = [colors((100, 100, 100), i, brightness=0.2)[0] for i in range(200)]
    assert 80 <= min(grays) < 85
    assert 115 < max(grays) <= 120
    assert colors((100, 100, 100), contrast=0.5) == (100, 100, 100)  # a single pixel is its own mean
    assert colors((100, 100, 100), saturation=0.5, hue=0.5) == (100, 100, 100)
    turned = {colors((255, 0, 0), i, hue=0.5) for i in range(200)}
    assert any(blue > 200 > red for red, _, blue in turned)
    assert any(green > 200 > red for red, green, _ in turned)


def test_a_rotation_brings_in_the_mean_color():
    change = PictureAugmenter(Augmentation(rotation=45), Preprocessing(mean=(0.2, 0.4, 0.6)), None, 255)
    seen = change(Picture(Image.new("RGB", (9, 9), (255, 255, 255)), None), np.random.default_rng(3))
    assert seen.image.getpixel((0, 0)) == (51, 102, 153)
    assert seen.image.getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("options", "labels", "kind", "message"),
    [
        ({"shift": 2}, LabelKind.BOXES, "images", "data.augment.shift does not go with detection"),
        ({"rotation": 5}, LabelKind.MASK, "images", "data.augment.rotation does not go with segmentation"),
        ({"crop": 1}, LabelKind.CLASS, "images", "data.augment.crop does not go with classification"),
        ({"expand": 2}, LabelKind.MASK, "images", "data.augment.expand does not go"),
        ({"scale": (0.5, 2)}, LabelKind.BOXES, "images", "data.augment.scale does not go"),
        ({"resized_crop": (0.5, 1)}, LabelKind.BOXES, "images", "data.augment.resized_crop does not go"),
        ({"flip": True}, LabelKind.CLASS, "texts", "data.augment.flip does not go with the texts of there"),
        ({"hue": 0.1}, None, "arrays", "data.augment.hue is for image files, but there gives arrays"),
    ],
)
def test_what_does_not_go_with_the_data_is_named(options, labels, kind, message):
    with pytest.raises(DataError, match=message):
        check_augmentation(Augmentation(**options), labels, kind, "there")


def test_what_goes_with_the_data_passes():
    check_augmentation(Augmentation(flip=True, resized_crop=(0.1, 1), hue=0.1), LabelKind.CLASS, "images", "")
    check_augmentation(Augmentation(flip=True, crop=0.5, expand=2), LabelKind.BOXES, "images", "")
    check_augmentation(Augmentation(scale=(0.5, 2), noise=0.1), LabelKind.MASK, "images", "")
    check_augmentation(Augmentation(flip=True, shift=1, noise=0.1), None, "arrays", "")


def test_what_cannot_have_an_effect_is_refused():
    with pytest.raises(DataError, match=r"data\.augment\.hue changes nothing in gray images"):
        PictureAugmenter(Augmentation(hue=0.1), Preprocessing(color="GRAY"), None, 255)
    with pytest.raises(DataError, match=r"data\.augment\.scale needs images of one size"):
        PictureAugmenter(Augmentation(scale=(1, 2)), Preprocessing(), None, 255)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("scale", [2, 1], r"scale must be \[least, most\], got \[2.0, 1.0\]"),
        ("resized_crop", [0.5, 1.5], "resized_crop is a share of the area, at most 1"),
        ("hue", 0.7, "data.augment.hue: got 0.7"),
        ("flipp", True, "unknown key 'data.augment.flipp'"),
    ],
)
def test_faults_in_the_config_name_the_key(key, value, message):
    mapping = {"model": "m:f", "data": {"train": "x", "augment": {key: value}}}
    with pytest.raises(RecipeError, match=message):
        parse_config(mapping)
