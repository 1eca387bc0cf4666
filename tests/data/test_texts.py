import hashlib
import pickle

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.data.build import IMAGE, save_image, spec
from tinyint.data import (
    LabelKind,
    Preprocessing,
    TextPreprocessing,
    load_preprocessing,
    open_data,
    parse_preprocessing,
    saved_preprocessing,
)
from tinyint.data.text_input import text_inputs
from tinyint.data.texts import read_table
from tinyint.errors import DataError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "sat", "好", '"', "sa", "##t"]
IDS = spec(None, 8, name="input_ids", dtype="int64")
TYPES = spec(None, None, name="token_type_ids", dtype="int32")
MASK = spec(None, 8, name="attention_mask", dtype="float32")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    (tmp_path / "dev.tsv").write_text(
        'label\ttext_a\ttext_b\n1\tThe cats\tsat\n\n0\t"cat\t好\n2\tthe dog\tsat sat sat sat sat\n',
        encoding="utf-8",
    )
    return tmp_path


def declared(folder, **changes):
    return TextPreprocessing(**{"tokenizer": str(folder / "vocab.txt"), "max_length": 8, **changes})


def test_pairs_become_what_bert_would_make_of_them(folder):
    data = open_data(folder / "dev.tsv", [IDS, TYPES, MASK], declared(folder))
    first, second, third = data
    # [CLS] the cat ##s [SEP] sat [SEP] [PAD]
    assert first.inputs["input_ids"].tolist() == [[2, 5, 6, 7, 3, 8, 3, 0]]
    assert first.inputs["token_type_ids"].tolist() == [[0, 0, 0, 0, 0, 1, 1, 0]]
    assert first.inputs["attention_mask"].tolist() == [[1, 1, 1, 1, 1, 1, 1, 0]]
    assert [array.dtype for array in first.inputs.values()] == [np.int64, np.int32, np.float32]
    # a quotation mark is a token as any other, and a Chinese character is a word
    assert second.inputs["input_ids"].tolist() == [[2, 10, 6, 3, 9, 3, 0, 0]]
    # of "the dog" and five words, the longer text is cut
    assert third.inputs["input_ids"].tolist() == [[2, 5, 1, 3, 8, 8, 8, 3]]
    assert [s.label for s in (first, second, third)] == [1, 0, 2]
    assert [s.name for s in (first, third)] == ["dev.tsv, line 2", "dev.tsv, line 5"]
    assert (data.label_kind, data.len_hint, data.notices) == (LabelKind.CLASS, 3, ())
    assert data.preprocessing.digest is not None


def test_only_what_the_model_has_is_given_under_its_names(folder):
    names = ("src_ids", "sent_ids", "pos_ids")
    inputs = [spec(1, None, name=name, dtype="int64") for name in names]
    sample = next(iter(open_data(folder / "dev.tsv", inputs, declared(folder))))
    assert tuple(sample.inputs) == names
    assert sample.inputs["sent_ids"].tolist() == [[0, 0, 0, 0, 0, 1, 1, 0]]
    assert sample.inputs["pos_ids"].tolist() == [list(range(8))]
    zeros = [IDS, spec(None, 8, name="task_type_ids", dtype="int64")]
    assert (
        not next(iter(open_data(folder / "dev.tsv", zeros, declared(folder)))).inputs["task_type_ids"].any()
    )


def test_single_texts_without_labels(folder):
    (folder / "test.tsv").write_text("qid\ttext_a\n7\tcat\n", encoding="utf-8")
    data = open_data(folder / "test.tsv", [IDS], declared(folder))
    (sample,) = data
    assert sample.inputs["input_ids"].tolist() == [[2, 6, 3, 0, 0, 0, 0, 0]]
    assert (sample.label, data.label_kind) == (None, None)
    assert data.notices == (f"columns of {folder / 'test.tsv'} that are not used: qid",)


def test_case_is_kept_where_that_is_declared(folder):
    samples = open_data(folder / "dev.tsv", [IDS], declared(folder, lowercase=False))
    assert next(iter(samples)).inputs["input_ids"].tolist() == [[2, 1, 6, 7, 3, 8, 3, 0]]


def test_a_tokenizer_json_and_a_folder_with_one(folder):
    tokenizer = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1, "cat": 2, "好": 3}, unk_token="<unk>"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    (folder / "other").mkdir()
    tokenizer.save(str(folder / "other" / "tokenizer.json"))
    for named in (folder / "other", folder / "other" / "tokenizer.json"):
        samples = list(open_data(folder / "dev.tsv", [IDS], declared(folder, tokenizer=str(named))))
        assert samples[1].inputs["input_ids"].tolist() == [[1, 2, 3, 0, 0, 0, 0, 0]]
    with pytest.raises(DataError, match=r"lowercase is for a vocab\.txt"):
        parse_preprocessing({"tokenizer": "tokenizer.json", "lowercase": False})
    with pytest.raises(DataError, match=r"lowercase is for a vocab\.txt, not for .*tokenizer\.json"):
        declared(folder, tokenizer=str(folder / "other"), lowercase=False).located()


def test_a_model_keeps_the_name_and_the_digest_and_the_file_is_found_beside_the_data(folder):
    (folder / "vocab.txt").write_text(
        "\n".join(WORDS)
    )  # whose digest has letters, so that YAML needs no quotes
    digest = hashlib.sha256((folder / "vocab.txt").read_bytes()).hexdigest()[:16]
    saved = declared(folder).to_metadata()
    assert saved == {
        "tinyint.preprocessing": f"{{tokenizer: vocab.txt, max_length: 8, lowercase: null, digest: {digest}}}\n"
    }
    again = saved_preprocessing(saved)
    assert isinstance(again, TextPreprocessing)
    assert len(list(open_data(folder / "dev.tsv", [IDS], again))) == 3
    (folder / "vocab.txt").write_text("\n".join([*WORDS, "more"]))
    with pytest.raises(
        DataError, match=rf"'vocab.txt' with the digest {digest} is not in .*but another file"
    ):
        open_data(folder / "dev.tsv", [IDS], again)
    (folder / "vocab.txt").unlink()
    with pytest.raises(
        DataError, match="A model does not hold its tokenizer: put the file there, or declare"
    ):
        open_data(folder / "dev.tsv", [IDS], again)


def test_a_preprocessing_file_names_the_tokenizer_beside_it(folder):
    (folder / "text.yaml").write_text("tokenizer: vocab.txt\nmax_length: 8\n")
    found = load_preprocessing(folder / "text.yaml")
    assert found == declared(folder)
    (folder / "image.yaml").write_text("resize: 8\n")
    assert load_preprocessing(folder / "image.yaml") == Preprocessing(resize=8)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"tokenizer": "v", "max_lenght": 8}, "unknown key 'max_lenght': did you mean 'max_length'"),
        ({"tokenizer": "v", "resize": 8}, "unknown key 'resize'"),
        ({"tokenizer": "v", "max_length": 1}, r"key 'max_length'.*greater than or equal to 2 \(got 1\)"),
        ({"tokenizer": "v", "max_length": "8"}, "key 'max_length'"),
        ({"tokenizer": ""}, "key 'tokenizer'"),
    ],
)
def test_the_declaration_is_read_strictly(mapping, message):
    with pytest.raises(DataError, match=message):
        parse_preprocessing(mapping)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"t\.tsv has the columns ''; expected a header with text_a"),
        ("label\ttext\n0\ta\n", "did you mean 'text'"),
        ("label\ttext_a\n", "has a header and no rows"),
        ("label\ttext_a\n0\ta\n1\n", r"t\.tsv, line 3: 1 columns, but the header has 2 \(label, text_a\)"),
        ("label\ttext_a\n0\ta\tb\n", "line 2: 3 columns"),
        ("label\ttext_a\ngood\ta\n", "line 2: the label 'good' is not a whole number"),
        ("label\ttext_a\n-1\ta\n", "line 2: the label '-1'"),
        ("text_a\ttext_a\na\tb\n", "column 'text_a' more than once"),
        (b"text_a\n\xff\n", r"not a table in UTF-8 \(byte 7\)"),
    ],
)
def test_faults_of_a_table_are_named(tmp_path, text, message):
    path = tmp_path / "t.tsv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        read_table(path)


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([IMAGE], "the model's input 'x' is float32"),
        ([spec(None, 8, name="input_ids")], "'input_ids' is float32"),
        ([spec(4, 8, name="input_ids", dtype="int64")], "exactly 4 texts at a time"),
        ([spec(None, 16, name="input_ids", dtype="int64")], "set max_length to 16"),
        ([TYPES], "the model has no input `input_ids`"),
    ],
)
def test_models_that_take_no_such_texts_are_refused(specs, message):
    with pytest.raises(DataError, match=message):
        text_inputs(specs, 8, "dev.tsv")


def test_texts_need_a_tokenizer_and_images_do_not_take_one(folder):
    for preprocessing in (None, Preprocessing(scale=1)):
        with pytest.raises(DataError, match=r"dev\.tsv holds texts, which need a tokenizer: declare it"):
            open_data(folder / "dev.tsv", [IDS], preprocessing)
    save_image(folder / "a.png")
    with pytest.raises(DataError, match="holds images, but the preprocessing declares a tokenizer"):
        open_data(folder / "a.png", [IMAGE], declared(folder))


def test_a_broken_tokenizer_is_named(folder):
    (folder / "vocab.txt").write_text("the\n")
    with pytest.raises(DataError, match=r"cannot read the tokenizer .*vocab\.txt: sep_token not found"):
        list(open_data(folder / "dev.tsv", [IDS], declared(folder)))
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"there is no tokenizer\.json or vocab\.txt in the folder"):
        open_data(folder / "dev.tsv", [IDS], declared(folder, tokenizer=str(folder / "empty")))


def test_a_source_goes_to_another_process(folder):
    source = open_data(folder / "dev.tsv", [IDS], declared(folder)).source
    before = source.sample(source.rows[0]).inputs["input_ids"]
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again.sample(again.rows[0]).inputs["input_ids"], before)


def test_the_fingerprint_sees_the_tokenizer(folder):
    before = open_data(folder / "dev.tsv", [IDS], declared(folder)).fingerprint
    assert open_data(folder / "dev.tsv", [IDS], declared(folder)).fingerprint == before
    (folder / "vocab.txt").write_text("\n".join([*WORDS, "more"]))
    assert open_data(folder / "dev.tsv", [IDS], declared(folder)).fingerprint != before
