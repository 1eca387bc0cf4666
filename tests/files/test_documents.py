"""Documents of nine lines that stand for a thousand million values, and other ill will."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tinyint.data import load_preprocessing, saved_preprocessing
from tinyint.errors import DataError, RecipeError, TinyintError
from tinyint.files.documents import DocumentError, parse_yaml, read_document, sentences, shown
from tinyint.quantization.paddleslim import recipe_from_paddleslim
from tinyint.quantization.recipe import Recipe


def bomb(levels: int, key: str = "mean", width: int = 9) -> str:
    lines = [f"{key}:", "  - &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"  - &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def merging(levels: int) -> str:
    """Mappings that merge each other twice."""
    lines = ["m0: &m0 {a: 1, b: 2}"]
    lines += [f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize("text", [bomb(6), bomb(9), bomb(200), merging(9), merging(60)])
def test_a_document_that_stands_for_too_much_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match="stands for more than 100000 values"):
        parse_yaml(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &a [*a]", "an alias stands within what it names"),
        ("a: &a {b: {c: *a}}", "an alias stands within what it names"),
        ("a: 1\nb: 2\na: 3", "'a' stands there twice"),
        ("[" * 5000, "nested too deeply"),
        ("a: !!bool x", "not valid YAML"),
        ("a: !!timestamp x", "not valid YAML"),
        ("a: !!int ''", "not valid YAML"),
        ("a: 2001-99-99", "not valid YAML"),
        ("a: !!python/object/apply:os.system [ls]", "not valid YAML"),
        ("a: \x00", "not valid YAML"),
        ("a: *b", "not valid YAML"),
        ("a: " + "9" * 5000, "not valid YAML"),
    ],
)
def test_what_is_no_document_is_one_error(text: str, told: str) -> None:
    with pytest.raises(DocumentError, match=told) as caught:
        parse_yaml(text)
    assert len(caught.value.problem) < 300


def test_aliases_as_people_use_them_are_read() -> None:
    shared = "common: &common {lr: 0.1, sizes: [1, 2]}\nfirst: {<<: *common, lr: 0.2}\nsecond: *common\n"
    assert parse_yaml(shared) == yaml.safe_load(shared)
    names = {"classes": [f"class {n}" for n in range(20_000)]}
    assert parse_yaml(yaml.safe_dump(names)) == names


def test_values_are_shown_within_bounds() -> None:
    nested: object = "x"
    for _ in range(9):
        nested = [nested] * 9
    for value in (nested, "y" * 10**6, {str(n): n for n in range(1000)}, 1 << 10**5, b"z" * 10**6):
        assert len(shown(value)) <= 200
    assert shown([1, "two"]) == "[1, 'two']"
    assert sentences(f"m{n}" for n in range(8)) == "m0; m1; m2; m3; m4; and 3 more"


def test_only_files_of_a_documents_size_are_read(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b" " * (2**23 + 1))
    for path, told in (
        (tmp_path, "no file"),
        ("/dev/zero", "no file"),
        (tmp_path / "large", "8388609 bytes"),
    ):
        with pytest.raises(DocumentError, match=told):
            read_document(path)
    for name, told in (("no", "No such file"), ("a" * 300, "too long"), ("a\0b", "null byte")):
        with pytest.raises(DocumentError, match=told):
            read_document(tmp_path / name)


def read(reader: str, path: Path) -> object:
    match reader:
        case "preprocessing":
            return load_preprocessing(path)
        case "recipe":
            return Recipe.load(path)
        case "PaddleSlim":
            return recipe_from_paddleslim(path)
        case "training":
            pytest.importorskip("torch")
            from tinyint.train import load_config

            return load_config(path)
    return saved_preprocessing({"tinyint.preprocessing": path.read_text()})


KEYS = {
    "preprocessing": "mean",
    "metadata": "mean",
    "recipe": "skip",
    "PaddleSlim": "weight_bits",
    "training": "iters",
}


# Bombs small enough to be read, so that their values come to the messages, and large ones.
@pytest.mark.parametrize("levels", [3, 5, 9])
@pytest.mark.parametrize("reader", KEYS)
def test_no_reader_tells_more_than_a_few_lines(reader: str, levels: int, tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(bomb(levels, KEYS[reader]))
    with pytest.raises(TinyintError) as caught:
        read(reader, path)
    assert isinstance(caught.value, DataError if KEYS[reader] == "mean" else RecipeError)
    assert len(str(caught.value)) < 3000
