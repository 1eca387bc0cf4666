import os

import pytest

from tests.data.build import save_image
from tinyint.data.folder import read_folder
from tinyint.errors import DataError


def _names(folder):
    return [(file.name, file.label) for file in folder.files]


def test_classes_take_turns(tmp_path):
    for name in ("cat/a.png", "cat/b.png", "cat/c.png", "dog/a.png", "bee/a.png"):
        save_image(tmp_path / name)
    assert _names(read_folder(tmp_path)) == [
        ("bee/a.png", 0),
        ("cat/a.png", 1),
        ("dog/a.png", 2),
        ("cat/b.png", 1),
        ("cat/c.png", 1),
    ]


def test_any_format_at_any_depth_but_no_hidden_files(tmp_path):
    for name in (
        "k/deep/er/a.JPG",
        "k/b.bmp",
        "k/c.tiff",
        "k/d.webp",
        "k/e.gif",
        "k/.hidden.png",
        "k/.h/a.png",
    ):
        save_image(tmp_path / name)
    (tmp_path / "k" / "notes.md").write_text("no image")
    (tmp_path / ".cache").mkdir()
    names = [name for name, _ in _names(read_folder(tmp_path))]
    assert names == ["k/b.bmp", "k/c.tiff", "k/d.webp", "k/e.gif", "k/deep/er/a.JPG"]


def test_images_without_classes_have_no_label(tmp_path):
    save_image(tmp_path / "b.png")
    save_image(tmp_path / "a.png")
    (tmp_path / "readme.md").write_text("hello")
    folder = read_folder(tmp_path)
    assert _names(folder) == [("a.png", None), ("b.png", None)]
    assert folder.notices == ["1 files are no images by their name and were passed over (readme.md, …)"]


def test_nothing_to_read(tmp_path):
    with pytest.raises(DataError, match="it is empty"):
        read_folder(tmp_path)
    (tmp_path / "a.md").write_text("")
    with pytest.raises(DataError, match=r"it holds a\.md; expected class folders"):
        read_folder(tmp_path)
    (tmp_path / "sub").mkdir()
    with pytest.raises(DataError, match="no images"):
        read_folder(tmp_path)
    with pytest.raises(DataError, match="No such file"):
        read_folder(tmp_path / "none")


def test_an_empty_class_is_an_error_since_it_shifts_the_labels(tmp_path):
    save_image(tmp_path / "b" / "a.png")
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match=f"{tmp_path / 'a'} holds no image"):
        read_folder(tmp_path)


def test_images_beside_folders_are_ambiguous(tmp_path):
    save_image(tmp_path / "b" / "a.png")
    save_image(tmp_path / "a.png")
    with pytest.raises(DataError, match="unclear whether the folders are classes"):
        read_folder(tmp_path)


def test_numbered_classes_in_text_order_are_pointed_out(tmp_path):
    for name in ("1", "2", "10"):
        save_image(tmp_path / name / "a.png")
    folder = read_folder(tmp_path)
    assert _names(folder) == [("1/a.png", 0), ("10/a.png", 1), ("2/a.png", 2)]
    assert "text order (1, 10, 2" in folder.notices[0]


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root reads everything")
def test_an_unreadable_class_folder_is_named(tmp_path):
    save_image(tmp_path / "b" / "a.png")
    (tmp_path / "b").chmod(0)
    try:
        with pytest.raises(DataError, match="cannot read the folder"):
            read_folder(tmp_path)
    finally:
        (tmp_path / "b").chmod(0o755)
