import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.build import IMAGE, save_image, spec
from tinyint.data import LabelKind, Preprocessing, Sample, content_key, open_data, stack
from tinyint.data.declared import saved_preprocessing
from tinyint.errors import DataError

VECTOR = [spec(None, 2)]
RAW = Preprocessing(scale=1)


@pytest.fixture
def folder(tmp_path):
    for i, name in enumerate(["cat/a.png", "cat/b.png", "dog/a.png"]):
        save_image(tmp_path / name, (i, 0, 0))
    return tmp_path


def test_class_folders(folder):
    data = open_data(folder, [IMAGE], RAW)
    assert [(s.name, s.label) for s in data] == [("cat/a.png", 0), ("dog/a.png", 1), ("cat/b.png", 0)]
    assert data.len_hint == 3
    assert data.preprocessing is RAW
    assert data.notices == ()
    assert stack(list(data))["x"].shape == (3, 3, 4, 4)
    assert [content_key(s) for s in data] == [content_key(s) for s in data]
    assert len({content_key(s) for s in data}) == 3


def test_a_list_file_in_the_folder_wins(folder):
    (folder / "val_list.txt").write_text("dog/a.png 7\ncat/a.png 9\n")
    for named in (
        folder,
        folder / "val_list.txt",
        f"{folder}:val_list.txt",
        f"{folder}:{folder / 'val_list.txt'}",
    ):
        assert [s.label for s in open_data(named, [IMAGE], RAW)] == [7, 9]
    (folder / "train_list.txt").write_text("cat/b.png 1\n")
    with pytest.raises(DataError, match=r"choose one with .*:train_list\.txt"):
        open_data(folder, [IMAGE], RAW)
    assert [s.label for s in open_data(f"{folder}:train_list.txt", [IMAGE], RAW)] == [1]
    with pytest.raises(DataError, match=r"cannot read the list file other\.txt"):
        open_data(f"{folder}:other.txt", [IMAGE], RAW)


def test_what_was_assumed_is_told_and_kept(folder):
    data = open_data(folder, [spec(None, 3, 2, 2)])
    assert data.preprocessing.assumed
    assert data.preprocessing.resize == (2, 2)
    assert data.notices[0].startswith("no preprocessing was declared; assumed: images resized to 2×2")
    assert next(iter(data)).inputs["x"][0, 0, 0, 0] == 0
    saved = saved_preprocessing(data.preprocessing.to_metadata())
    assert open_data(folder, [spec(None, 3, 2, 2)], saved).notices == data.notices


def test_a_single_image(folder):
    (sample,) = open_data(folder / "dog" / "a.png", [IMAGE], RAW)
    assert (sample.name, sample.label) == ("a.png", None)


def test_arrays_files(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 2)))
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 2), np.float32), label=[4, 5, 6, 7])
    data = open_data(str(tmp_path / "a.npy"), VECTOR, RAW)
    assert len(list(data)) == 4
    assert data.preprocessing is None
    assert data.notices == (
        "the preprocessing applies to image files and texts; the samples of a.npy are taken as they are",
        "input 'x': float64 samples are converted to the model's float32",
    )
    assert [s.label for s in open_data(tmp_path / "a.npz", VECTOR)] == [4, 5, 6, 7]


def test_a_function(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "user_open_data.py").write_text(
        "def samples():\n    for i in range(4):\n        yield [float(i), 0.0], i\n"
    )
    data = open_data("user_open_data:samples", VECTOR, limit=2, skip=1)
    assert [s.label for s in data] == [s.label for s in data] == [1, 2]
    assert (data.len_hint, data.fingerprint) == (None, None)


def test_python_objects():
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    for data in (
        x,
        {"x": x},
        [x],
        list(x),
        [x[:3], x[3:]],
        lambda: iter(x),
        [Sample({"x": row[None]}) for row in x],
    ):
        opened = open_data(data, VECTOR)
        for _ in range(2):
            np.testing.assert_array_equal(stack(list(opened))["x"], x)
        np.testing.assert_array_equal(stack(list(open_data(data, VECTOR, limit=2, skip=1)))["x"], x[1:3])
        assert opened.fingerprint is None


def test_limit_and_skip(folder):
    data = open_data(folder, [IMAGE], RAW, limit=2, skip=1)
    assert [s.name for s in data] == ["dog/a.png", "cat/b.png"]
    assert data.len_hint == 2
    short = open_data(folder, [IMAGE], RAW, limit=9, skip=1)
    assert short.len_hint == 2
    assert short.notices == (f"9 samples were asked for; {folder} has 2",)
    prints = {
        open_data(folder, [IMAGE], RAW, limit=n, skip=s).fingerprint for n, s in [(1, 0), (2, 0), (1, 1)]
    }
    assert len(prints) == 3
    assert open_data(folder, [IMAGE], RAW, limit=1).fingerprint in prints


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"skip": 3}, "holds 3 samples; none is left after the first 3"),
        ({"skip": -1}, "skip >= 0"),
        ({"limit": 0}, "limit >= 1"),
    ],
)
def test_nothing_selected(folder, arguments, message):
    with pytest.raises(DataError, match=message):
        open_data(folder, [IMAGE], RAW, **arguments)


def test_an_empty_iterable():
    with pytest.raises(DataError, match=r"data holds no samples$"):
        list(open_data([], VECTOR))
    with pytest.raises(DataError, match="data holds no samples after the first 1"):
        list(open_data([np.zeros((1, 2), np.float32)], VECTOR, skip=1))


def test_faults_in_a_sample_are_named(folder, tmp_path):
    x = np.zeros((4, 2), np.float32)
    x[2, 1] = np.nan
    with pytest.raises(DataError, match=r"^data\[2\], input 'x': 1 of 2 values are NaN"):
        list(open_data(x, VECTOR))
    save_image(folder / "dog" / "a.png", size=(5, 4))
    with pytest.raises(DataError, match=r"^dog/a\.png, input 'x': the array has shape \(1, 3, 4, 5\)"):
        list(open_data(folder, [IMAGE], RAW))


def test_an_image_folder_for_a_model_without_images(folder):
    with pytest.raises(DataError, match="holds images, but the model's input 'x'"):
        open_data(folder, VECTOR)
    with pytest.raises(DataError, match=r"makes images of \[4, 4, 3\]"):
        open_data(folder, [IMAGE], Preprocessing(layout="NHWC", resize=(4, 4)))


@pytest.mark.parametrize(
    "name", ["", "no/such", "x.npy", "/no:such.txt", "a b:c", "\0", "~nobody-here", "x" * 5000]
)
def test_unknown_names_list_what_is_accepted(name):
    with pytest.raises(DataError, match="do not exist; expected a folder of class folders"):
        open_data(name, VECTOR)


def test_other_faults(tmp_path):
    (tmp_path / "a.dat").write_bytes(b"1")
    with pytest.raises(DataError, match=r"a\.dat is no kind of data"):
        open_data(tmp_path / "a.dat", VECTOR)
    with pytest.raises(DataError, match="the model has no inputs"):
        open_data(np.zeros((1, 2)), [])
    with pytest.raises(DataError, match="the model has 2 inputs"):
        open_data(np.zeros((1, 2)), [spec(2), spec(2, name="y")])
    with pytest.raises(DataError, match="of type int"):
        open_data(3, VECTOR)


@settings(deadline=None)
@given(st.text(max_size=30).filter(lambda text: not set("./~") & set(text)))
def test_any_name_gives_a_dataset_or_a_data_error(text):
    with contextlib.suppress(DataError):
        open_data(text, VECTOR)


def test_unreadable_samples_are_skipped_on_request_and_counted(folder):
    (folder / "dog" / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"cannot read the image .*dog/a\.png"):
        list(open_data(folder, [IMAGE], RAW))
    data = open_data(folder, [IMAGE], RAW, on_error="skip")
    for _ in range(2):
        assert [s.name for s in data] == ["cat/a.png", "cat/b.png"]
        (notice,) = data.notices
        assert notice.startswith(f"1 sample was skipped: cannot read the image {folder / 'dog' / 'a.png'}")
    assert data.fingerprint is None
    limited = open_data(folder, [IMAGE], RAW, limit=2, on_error="skip")
    assert [s.name for s in limited] == ["cat/a.png"]
    save_image(folder / "cat" / "a.png", size=(5, 4))  # does not fit the model
    assert [s.name for s in data] == ["cat/b.png"]
    assert data.notices[0].startswith("2 samples were skipped; the first: cat/a.png, input 'x'")


def test_skipping_all_is_an_error(folder):
    for path in folder.glob("*/*.png"):
        path.write_bytes(b"")
    with pytest.raises(
        DataError, match=r"holds no samples that can be read: 3 samples were skipped; the first"
    ):
        list(open_data(folder, [IMAGE], RAW, on_error="skip"))


def test_what_labels_are(folder):
    data = open_data(folder, [IMAGE], RAW)
    assert (data.label_kind, data.classes) == (LabelKind.CLASS, ("cat", "dog"))


def test_the_names_of_classes_lie_beside_a_list(folder):
    (folder / "val_list.txt").write_text("cat/a.png 1\n")
    assert open_data(folder, [IMAGE], RAW).classes is None
    (folder / "labels.txt").write_text("\ufeffdog\n big cat \n", encoding="utf-8")
    for named in (folder, folder / "val_list.txt", f"{folder}:val_list.txt"):
        assert open_data(named, [IMAGE], RAW).classes == ("dog", "big cat")
    (folder / "labels.txt").write_text("dog\n\ncat\n")
    with pytest.raises(DataError, match=r"labels\.txt, line 2: the class 1 has no name"):
        open_data(folder, [IMAGE], RAW)
    (folder / "labels.txt").write_bytes(b"\xff")
    with pytest.raises(
        DataError, match=r"cannot read the names of the classes in .*labels\.txt: it is not UTF-8"
    ):
        open_data(folder, [IMAGE], RAW)
