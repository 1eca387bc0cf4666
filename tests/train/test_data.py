"""Any position of the stream is a function of the seed."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tinyint.data import Sample
from tinyint.errors import DataError
from tinyint.runtimes.base import TensorSpec
from tinyint.train.config import Augmentation
from tinyint.train.data import InOrder, LabelCheck, Shuffled, Slices, read_batches
from tinyint.train.items import open_items

ANY = LabelCheck(needed=True, classes=100)


def numbered(count: int) -> list[Sample]:
    return [Sample({"x": np.full((1, 1, 2, 3), i, np.float32)}, i, f"item {i}") for i in range(count)]


def labels(stream, slices, workers=0):
    return [b.labels.tolist() for b in read_batches(stream, slices, workers, check=ANY)]


def test_each_epoch_holds_every_sample_once_in_another_order():
    stream = Shuffled(numbered(10), 0, Augmentation())
    drawn = [stream[i].sample.label for i in range(20)]
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))
    assert drawn[:10] != drawn[10:]


@given(st.integers(1, 9), st.integers(0, 5), st.sampled_from([1, 2, 3]))
def test_batches_do_not_depend_on_start_or_devices(items: int, start: int, world: int):
    stream = Shuffled(numbered(items), 3, Augmentation())
    whole = labels(stream, Slices(0, 6, 6))
    parts = [labels(stream, Slices(start, 6, 6, rank, world)) for rank in range(world)]
    joined = [[label for part in batch for label in part] for batch in zip(*parts, strict=True)]
    assert joined == whole[start:]


def test_workers_change_nothing():
    stream = Shuffled(numbered(7), 3, Augmentation(flip=True, shift=1, noise=0.5))
    here, there = (
        [b.inputs["x"] for b in read_batches(stream, Slices(0, 3, 4), workers, check=ANY)]
        for workers in (0, 2)
    )
    assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))


def test_a_stream_survives_pickling():
    stream = Shuffled(numbered(5), 3, Augmentation())
    again = pickle.loads(pickle.dumps(stream))
    assert [again[i].sample.label for i in range(9)] == [stream[i].sample.label for i in range(9)]


def test_reading_takes_no_random_numbers_of_the_network():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    labels(InOrder(numbered(4)), Slices(0, 2, 2))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_end_of_the_data_cuts_the_last_batch():
    slices = [Slices(0, 2, 4, rank, 2, end=5) for rank in (0, 1)]
    assert [labels(InOrder(numbered(5)), s) for s in slices] == [[[0, 1], [4]], [[2, 3]]]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_comes_as_it_is(workers):
    items = [*numbered(2), Sample({"x": np.zeros((1, 1, 2, 3), np.float32)}, None, "the bad one")]
    with pytest.raises(DataError, match=r"^the bad one has no label"):
        labels(InOrder(items), Slices(0, 2, 2, end=3), workers)


def test_a_label_beyond_the_classes_is_named_and_an_ignored_one_is_not():
    sample = Sample({}, np.array([0, 255]), "mask.png")
    with pytest.raises(DataError, match=r"mask.png has the label 255, but the model has the classes 0 to 1"):
        LabelCheck(needed=True, classes=2)(sample)
    assert LabelCheck(needed=True, classes=2, ignored=255)(sample).tolist() == [0, 255]


def test_image_files_are_read_when_they_are_asked_for(tmp_path):
    for name, value in (("a", 0), ("b", 255)):
        (tmp_path / name).mkdir()
        Image.new("L", (4, 4), value).save(tmp_path / name / "1.png")
    spec = TensorSpec(name="x", dtype=np.dtype(np.float32), shape=(None, 1, 4, 4))
    opened = open_items(str(tmp_path), [spec], None)
    items = opened.items
    assert [(items[i].label, items[i].inputs["x"].mean()) for i in range(2)] == [(0, 0.0), (1, 1.0)]
    assert any("no preprocessing was declared" in notice for notice in opened.notices)
    (tmp_path / "b" / "1.png").unlink()
    with pytest.raises(DataError, match=r"1.png"):
        items[1]
