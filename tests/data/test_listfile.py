import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.build import save_image
from tinyint.data.listfile import Entry, find_list, parse_list, read_list
from tinyint.errors import DataError


def test_lines():
    text = "\ufeff# images\r\na.png 3\r\n\r\n  dir/b c.png\t07 \nd e.png   12\n"
    assert parse_list(text, "l") == [
        Entry("a.png", 3, 2),
        Entry("dir/b c.png", 7, 4),
        Entry("d e.png", 12, 5),
    ]


def test_a_list_without_labels():
    assert parse_list("a.png\nmy cat.png\n", "l") == [Entry("a.png", None, 1), Entry("my cat.png", None, 2)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "l lists no images"),
        ("# only\n\n", "l lists no images"),
        ("a.png 1\nb.png cat", "l, line 2: the label 'cat' of 'b.png'"),
        ("a.png -1", "the label '-1'"),
        ("a.png 1.0", r"the label '1\.0'"),
        ("a.png 1_0", "the label '1_0'"),
        ("a.png ٣", "the label '٣'"),
        ("a.png 9999999999", "the label '9999999999'"),
        ("a.png 1\nb.png c.png", "line 2: the label of 'b.png' is 'c.png', but line 1 has 1"),
        ("a.png 1\n\nb.png\n", "l, line 3: 'b.png' has no label, but line 1 has one"),
        ("b.png\na.png 1\n", "l, line 1: 'b.png' has no label, but line 2 has one"),
        ("a\0.png 1", "line 1: not text"),
    ],
)
def test_faults_name_the_line(text, message):
    with pytest.raises(DataError, match=message):
        parse_list(text, "l")


def test_reading(tmp_path):
    save_image(tmp_path / "val" / "a.png")
    listed = tmp_path / "val_list.txt"
    listed.write_text(f"val/a.png 5\n{tmp_path / 'val' / 'a.png'} 6\n")
    files = read_list(listed, tmp_path)
    assert (files[0].name, files[0].label) == ("val/a.png", 5)
    assert files[1].path == tmp_path / "val" / "a.png"
    listed.write_text("val/a.png 5\nval/b.png 6\n")
    with pytest.raises(DataError, match=r"val_list\.txt, line 2: there is no image 'val/b\.png'"):
        read_list(listed, tmp_path)
    listed.write_bytes(b"a.png 1\n\xff\xfe")
    with pytest.raises(DataError, match=r"not a list file in UTF-8 \(byte 8\)"):
        read_list(listed, tmp_path)
    with pytest.raises(DataError, match="cannot read the list file"):
        read_list(tmp_path / "none.txt", tmp_path)


def test_finding(tmp_path):
    assert find_list(tmp_path) is None
    (tmp_path / "classes.txt").write_text("n01440764 tench\n")
    (tmp_path / "empty.txt").write_text("")
    assert find_list(tmp_path) is None
    (tmp_path / "images.txt").write_text("# mine\nmissing one.png 3\n")
    assert find_list(tmp_path) == tmp_path / "images.txt"
    (tmp_path / "val_list.txt").write_text("")
    with pytest.raises(DataError, match=r"several list files \(images\.txt, val_list\.txt\)"):
        find_list(tmp_path)


_LINE = st.text(alphabet=st.sampled_from("ab/.#\t \n\r\0\u2028_-+19²٣.png"), max_size=40)


@settings(deadline=None)
@given(st.text(max_size=80) | _LINE | st.from_regex(r"([a-z ]+\.png[ \t][0-9a]{1,2}\n){1,4}", fullmatch=True))
def test_any_text_gives_entries_or_a_data_error(text):
    with contextlib.suppress(DataError):
        entries = parse_list(text, "l")
        assert entries
        assert len({entry.label is None for entry in entries}) == 1
        assert all(entry.path.strip() for entry in entries)


@settings(deadline=None, max_examples=50)
@given(data=st.binary(max_size=60) | st.text(max_size=3000).map(str.encode))
def test_any_file_gives_images_or_a_data_error(tmp_path_factory, data):
    listed = tmp_path_factory.getbasetemp() / "fuzz_list.txt"
    listed.write_bytes(data)
    with contextlib.suppress(DataError):
        read_list(listed, listed.parent)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-zA-Z0-9_/é]+( [a-z0-9]+)?\.(png|JPEG)", fullmatch=True),
            st.integers(0, 10**9 - 1),
        ),
        min_size=1,
    )
)
def test_what_is_written_is_read(pairs):
    for separator in (" ", "\t", "   "):
        text = "\n".join(f"{path}{separator}{label}" for path, label in pairs)
        assert [(entry.path, entry.label) for entry in parse_list(text, "l")] == pairs
