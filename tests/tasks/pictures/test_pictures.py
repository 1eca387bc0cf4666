"""Pixels that tell whether the right thing was drawn in the right place."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tinyint.tasks import Detection, Segmentation
from tinyint.tasks.pictures import draw_bars, draw_boxes, draw_mask, mask_image, resized
from tinyint.tasks.pictures.canvas import PAPER, colour_of, ink_on, shortened, width_of
from tinyint.tasks.tails import Detections

GREY = (128, 128, 128)
INFO = Detection(classes=("cat", "dog"), anchors=(((1, 1),),), strides=(8,))


def found(*rows: tuple[float, int, float, float, float, float]) -> Detections:
    """Each row is score, class, x1, y1, x2, y2."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(boxes=table[:, 2:], classes=table[:, 1].astype(np.int64), scores=table[:, 0])


def test_colours_differ_and_letters_can_be_read() -> None:
    assert len({colour_of(number) for number in range(80)}) == 80
    for number in range(80):
        ink, paper = np.array(ink_on(colour_of(number))), np.array(colour_of(number))
        assert abs(ink.astype(int) - paper).sum() > 150


def test_a_box_in_the_colour_of_its_class() -> None:
    image = Image.new("RGB", (600, 500), GREY)
    drawn = draw_boxes(image, found((0.9, 1, 100, 200, 300, 400)), INFO)
    assert drawn.size == (600, 500)
    for edge in ((100, 300), (300, 300), (200, 400)):
        assert drawn.getpixel(edge) == colour_of(1)
    assert drawn.getpixel((200, 300)) == GREY
    label = np.asarray(drawn)[183:199, 102:160].reshape(-1, 3)  # above its upper left corner
    assert (label == colour_of(1)).all(axis=1).mean() > 0.5
    assert (label == ink_on(colour_of(1))).all(axis=1).any()
    assert image.getpixel((100, 300)) == GREY


def test_the_surest_box_lies_on_top() -> None:
    image = Image.new("RGB", (600, 500), GREY)
    for rows in ([(0.9, 1, 10, 50, 99, 99), (0.5, 0, 10, 50, 99, 99)],) * 2:
        assert draw_boxes(image, found(*rows), INFO).getpixel((50, 99)) == colour_of(1)
        rows.reverse()


@pytest.mark.parametrize(
    "box", [(0, 0, 600, 500), (-5, -5, 3, 3), (590, 0, 650, 4), (20, 20, 20, 20), (50, 60, 40, 30)]
)
def test_boxes_at_and_beyond_the_border(box: tuple[float, float, float, float]) -> None:
    image = Image.new("RGB", (600, 500), GREY)
    drawn = draw_boxes(image, found((0.5, 0, *box)), INFO)
    assert drawn.size == image.size
    assert (np.asarray(drawn) != GREY).any()


def test_small_images_are_enlarged_with_their_boxes() -> None:
    drawn = draw_boxes(Image.new("L", (48, 24), 128), found((0.5, 0, 0, 6, 24, 18)), INFO)
    assert drawn.size == (480, 240)
    assert drawn.getpixel((120, 180)) == colour_of(0)


def test_a_mask_tints_borders_and_names_what_is_there() -> None:
    mask = np.zeros((500, 600), np.uint8)
    mask[:, 300:] = 2
    info = Segmentation(classes=("road", "sky", "tree"))
    drawn = draw_mask(Image.new("RGB", (600, 500), GREY), mask, info, 3)
    assert drawn.getpixel((100, 100)) == tuple((128 + part) // 2 for part in colour_of(0))
    assert drawn.getpixel((500, 100)) == tuple((128 + part) // 2 for part in colour_of(2))
    assert drawn.getpixel((299, 100)) == PAPER
    legend = np.asarray(drawn)[500:]
    assert (legend == colour_of(0)).all(axis=2).any()
    assert (legend == colour_of(2)).all(axis=2).any()
    assert not (legend == colour_of(1)).all(axis=2).any()


@pytest.mark.parametrize("names", [None, ("a", "b"), ("thing", "background", "other")])
def test_the_background_stays_as_it_is(names: tuple[str, ...] | None) -> None:
    plain = 1 if names and "background" in names else 0
    mask = np.full((500, 600), plain, np.uint8)
    drawn = draw_mask(
        Image.new("RGB", (600, 500), GREY), mask, Segmentation(classes=names), len(names or "ab")
    )
    assert drawn.getpixel((100, 100)) == GREY


def test_a_legend_of_many_classes_takes_more_lines() -> None:
    mask = np.arange(600, dtype=np.uint16)[None].repeat(500, 0) // 30
    one = draw_mask(Image.new("RGB", (600, 500)), mask * 0, Segmentation(), 20)
    many = draw_mask(Image.new("RGB", (600, 500)), mask, Segmentation(), 20)
    assert many.height > one.height > 500


def test_a_mask_file_holds_the_numbers() -> None:
    mask = np.array([[0, 3], [255, 7]])
    image = mask_image(mask)
    assert image.mode == "P"
    assert np.asarray(image).tolist() == mask.tolist()
    assert image.convert("RGB").getpixel((1, 0)) == colour_of(3)
    assert resized(mask, (4, 2)).tolist() == [[0, 0, 3, 3], [255, 255, 7, 7]]


def test_bars_are_as_long_as_the_probabilities() -> None:
    entries = [
        (0, "one", 0.75),
        (1, "a name that is far too long for the half of the picture that it gets", 0.25),
    ]
    drawn = np.asarray(draw_bars(Image.new("RGB", (600, 500), GREY), entries))
    assert drawn.shape[1] == 600
    first, second = ((drawn[500:] == colour_of(number)).all(axis=2).sum(axis=1).max() for number in (0, 1))
    assert first == pytest.approx(3 * second, abs=4)


@pytest.mark.parametrize("size", [(100, 1000), (300, 3000), (1, 5000), (1, 100), (5000, 1), (2, 2)])
@pytest.mark.parametrize("name", ["cat", "", "a name\nof two lines", "W" * 3000, "\u0301" * 5000])
def test_images_and_names_of_any_shape(size: tuple[int, int], name: str) -> None:
    image = Image.new("RGB", size, GREY)
    drawn = draw_bars(image, [(0, name, 0.75), (1, "dog", 0.25)])
    figures = np.asarray(drawn)[size[1] :] != PAPER
    assert figures.any()
    assert drawn.width >= size[0]
    names = Detection(classes=(name, "dog"), anchors=(((1, 1),),), strides=(8,))
    assert draw_boxes(image, found((0.5, 0, 0, 0, 1, 1)), names).width >= size[0]
    mask = np.zeros((size[1], size[0]), np.uint8)
    assert draw_mask(image, mask, Segmentation(classes=(name, "dog")), 2).width >= size[0]


def test_a_long_name_is_cut_where_its_room_ends() -> None:
    draw = ImageDraw.Draw(Image.new("RGB", (9, 9)))
    name = "elephant " * 200
    short = shortened(draw, name, 13, 200)
    assert short.endswith("…")
    assert name.startswith(short[:-1].rstrip())
    assert width_of(draw, short, 13) <= 200 < width_of(draw, short[:-1] + "eee…", 13)
    assert shortened(draw, "cat", 13, 200) == "cat"
