"""Files of every family as items of training: read in any process, changed by position alone, skipped on request."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.build import save_image, spec
from tests.data.datafile.build import assert_same
from tests.data.datafile.build import source as data_source
from tests.data.datafile.build import write as write_data
from tinyint.data import Boxes, Preprocessing, Sample, TextPreprocessing
from tinyint.errors import DataError
from tinyint.tasks import Classification, Detection, Segmentation
from tinyint.train.config import Augmentation
from tinyint.train.data import InOrder, LabelCheck, Shuffled, Slices, read_batches
from tinyint.train.items import Tolerant, open_items

INPUT = [spec(None, 3, 8, 8)]
SMALL = Preprocessing(resize=(8, 8))


def noise(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def classes(tmp_path):
    for i in range(6):
        noise(tmp_path / "classes" / "ab"[i % 2] / f"{i}.png", i)
    return str(tmp_path / "classes")


@pytest.fixture
def scenes(tmp_path):
    """Five images with 0, 1, …, 4 boxes."""
    tmp_path /= "scenes"
    images, annotations = [], []
    for i in range(5):
        noise(tmp_path / f"{i}.png", i)
        images.append({"id": i, "file_name": f"{i}.png", "width": 16, "height": 12})
        for k in range(i):
            box = {"id": 10 * i + k, "image_id": i, "category_id": k, "bbox": [k, k, 8, 6]}
            annotations.append(box)
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": k, "name": str(k)} for k in range(4)],
    }
    (tmp_path / "all.json").write_text(json.dumps(content))
    return str(tmp_path / "all.json")


@pytest.fixture
def masks(tmp_path):
    tmp_path /= "masks"
    lines = []
    for i in range(5):
        noise(tmp_path / f"{i}.png", i)
        mask = np.random.default_rng(i).integers(0, 3, (12, 16)).astype(np.uint8)
        Image.fromarray(mask).save(tmp_path / f"m{i}.png")
        lines.append(f"{i}.png m{i}.png")
    (tmp_path / "list.txt").write_text("\n".join(lines))
    return f"{tmp_path}:list.txt"


def read(items, options, check, workers=0, batches=4):
    stream = Shuffled(items, 7, options)
    return list(read_batches(stream, Slices(0, batches, 3), workers, check=check))


CLASSIFICATION = Augmentation(resized_crop=(0.2, 1), rotation=20, flip=True, shift=1, noise=0.1, hue=0.2)
DETECTION = Augmentation(crop=0.5, expand=3, flip=True, brightness=0.3)
BOXES = Detection(anchors=(((8, 8),),), strides=(32,))
SEGMENTATION = Augmentation(scale=(0.5, 2), flip=True, saturation=0.3)


@pytest.mark.parametrize(
    ("family", "options"),
    [("classes", CLASSIFICATION), ("scenes", DETECTION), ("masks", SEGMENTATION)],
    ids=["classification", "detection", "segmentation"],
)
def test_workers_change_nothing(family, options, request):
    items = open_items(request.getfixturevalue(family), INPUT, SMALL, augmentation=options).items
    task = BOXES if family == "scenes" else Classification()
    check = LabelCheck(needed=True, classes=4, ignored=255, task=task)
    here, there, plain = (
        read(items, options, check),
        read(items, options, check, workers=2),
        read(items, Augmentation(), check),
    )
    for one, other in zip(here, there, strict=True):
        assert torch.equal(one.inputs["x"], other.inputs["x"])
        if family == "scenes":
            for ours, theirs in zip(one.labels, other.labels, strict=True):
                np.testing.assert_array_equal(ours.boxes, theirs.boxes)
        else:
            assert torch.equal(one.labels, other.labels)
    assert not any(torch.equal(a.inputs["x"], b.inputs["x"]) for a, b in zip(here, plain, strict=True))


def test_batches_of_each_family(classes, scenes, masks):
    check = LabelCheck(needed=True, classes=4, ignored=255)
    for name, kind in ((classes, torch.Size([3])), (masks, torch.Size([3, 8, 8]))):
        items = open_items(name, INPUT, SMALL).items
        batch = read(items, Augmentation(), check)[0]
        assert batch.labels.shape == kind
        assert batch.labels.dtype == torch.int64
    items = open_items(scenes, INPUT, SMALL).items
    batch = read(items, Augmentation(), LabelCheck(needed=True, classes=4, task=BOXES))[0]
    assert [isinstance(label, Boxes) for label in batch.labels] == [True] * 3


def test_texts_are_items_too(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n")
    (tmp_path / "t.tsv").write_text("label\ttext_a\n0\ta\n1\tb\n")
    inputs = [spec(None, 4, name="input_ids", dtype="int64")]
    declared = TextPreprocessing(tokenizer=str(tmp_path / "vocab.txt"), max_length=4)
    items = open_items(str(tmp_path / "t.tsv"), inputs, declared).items
    (batch,) = read_batches(InOrder(items), Slices(0, 1, 2), 1, check=LabelCheck(needed=True, classes=2))
    assert batch.inputs["input_ids"].tolist() == [[2, 5, 3, 0], [2, 6, 3, 0]]
    assert batch.labels.tolist() == [0, 1]
    with pytest.raises(DataError, match=r"data\.augment\.flip does not go with the texts"):
        open_items(str(tmp_path / "t.tsv"), inputs, declared, augmentation=Augmentation(flip=True))


def test_the_config_of_one_family_with_data_of_another(scenes, classes):
    with pytest.raises(
        DataError,
        match=r"all\.json is labelled with boxes \(detection\), but the model is for classification, which needs",
    ):
        open_items(scenes, INPUT, SMALL, task=Classification())
    with pytest.raises(DataError, match=r"labelled with class numbers .* but the model is for segmentation"):
        open_items(classes, INPUT, SMALL, task=Segmentation())
    items = open_items(scenes, INPUT, SMALL).items
    with pytest.raises(
        DataError, match=r"0\.png is labelled with boxes \(detection\), but the model is for class"
    ):
        LabelCheck(needed=True, classes=4)(items[0])
    detection = LabelCheck(needed=True, classes=4, task=BOXES)
    with pytest.raises(
        DataError, match=r"one is labelled with class numbers .* but the model is for detection"
    ):
        detection(Sample({}, 3, "one"))
    with pytest.raises(DataError, match=r"one: the label is of type uint8, shape \(2, 2\); expected boxes"):
        detection(Sample({}, np.zeros((2, 2), np.uint8), "one"))
    with pytest.raises(DataError, match=r"4\.png has the label 2, but the model has the classes 0 to 1"):
        LabelCheck(needed=True, classes=2, task=BOXES)(items[4])


def broken(folder, number):
    """A class folder's image, cut short."""
    path = Path(folder) / "ab"[number % 2] / f"{number}.png"
    path.write_bytes(path.read_bytes()[:50])
    return path


@pytest.mark.parametrize("workers", [0, 2])
def test_training_stops_at_a_damaged_file_or_the_next_one_stands_in(classes, workers):
    path = broken(classes, 2)
    check = LabelCheck(needed=True, classes=2)
    items = open_items(classes, INPUT, SMALL).items
    with pytest.raises(DataError, match=rf"cannot read the image {path}"):
        read(items, Augmentation(), check, workers)
    items = open_items(classes, INPUT, SMALL, on_error="skip").items
    assert isinstance(items, Tolerant)
    batches = read(items, Augmentation(), check, workers)
    assert [b.samples for b in batches] == [3, 3, 3, 3]  # two epochs, without gaps
    assert list(items.skipped) == [2]
    assert items.notice().startswith(f"1 sample was skipped: cannot read the image {path}")
    stream = Shuffled(items, 7, Augmentation())
    drawn = [stream[i].sample.name for i in range(6)]
    assert sorted(drawn) == ["a/0.png", "a/4.png", "b/1.png", "b/3.png", "b/3.png", "b/5.png"]


@pytest.mark.parametrize("workers", [0, 2])
def test_in_evaluation_nothing_stands_in(classes, workers):
    for number in (2, 3, 4):
        broken(classes, number)
    items = open_items(classes, INPUT, SMALL, on_error="skip").items
    slices = Slices(0, 3, 2, end=6)
    batches = list(read_batches(InOrder(items), slices, workers, check=LabelCheck(needed=True, classes=2)))
    assert [b.labels.tolist() for b in batches] == [[0, 1], [1]]  # 0, 1, and 5 of the last two
    assert sorted(items.skipped) == [2, 3, 4]
    assert items.notice().startswith("3 samples were skipped; the first: cannot read the image ")


def test_where_nothing_can_be_read_skipping_ends(classes):
    for number in range(6):
        broken(classes, number)
    with pytest.raises(DataError, match="no sample can be read; the first: cannot read the image"):
        open_items(classes, INPUT, SMALL, on_error="skip")


def test_images_of_any_size_cannot_be_cut(tmp_path):
    save_image(tmp_path / "a" / "1.png")
    for options in (Augmentation(resized_crop=(0.5, 1)),):
        with pytest.raises(DataError, match=r"resized_crop needs images of one size"):
            open_items(str(tmp_path), [spec(None, 3, None, None)], Preprocessing(), augmentation=options)


def test_a_data_file_is_read_as_it_is_needed_in_any_process(tmp_path):
    for i in range(6):
        noise(tmp_path / f"{i}.png", i)
    of = data_source([tmp_path / f"{i}.png" for i in range(6)], preprocessing=SMALL)
    write_data(of, tmp_path / "d.bin")
    items = open_items(str(tmp_path / "d.bin"), INPUT, None).items
    assert not isinstance(items, list)
    assert len(items) == 6
    wanted = list(of.read(0, None))
    assert_same(items[4], wanted[4])
    sent = pickle.dumps(items)  # to another process, which maps the file itself
    assert len(sent) < (tmp_path / "d.bin").stat().st_size
    assert_same(pickle.loads(sent)[5], wanted[5])
    content = bytearray((tmp_path / "d.bin").read_bytes())
    content[300] ^= 1
    (tmp_path / "d.bin").write_bytes(content)
    tolerant = open_items(str(tmp_path / "d.bin"), INPUT, None, on_error="skip").items
    assert tolerant[0].name == "1.png"
