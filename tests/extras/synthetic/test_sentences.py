"""Reviews mean what their label says, and their vocabulary spells them."""

import csv
import re

import numpy as np
import pytest

from tinyint.extras.synthetic import make, phrases
from tinyint.extras.synthetic.family import generator
from tinyint.extras.synthetic.sentences import _mistyped, _verdict, write_review
from tinyint.extras.synthetic.wordpiece import SPECIAL_TOKENS, vocabulary


def meant(verdict: str) -> int:
    """The polarity of a verdict, read word by word: each negation turns it round, affirmations and asides do not."""
    clause = re.sub(r"^although .*?, |, even if .*$", "", verdict)
    for phrase in phrases.AFFIRMATIONS:
        clause = clause.replace(phrase, "")
    negations = sum(clause.count(phrase) for phrase in phrases.DENIALS)
    for phrase in phrases.DENIALS:
        clause = clause.replace(phrase, "")
    negations += any(f" {phrase} " in f" {clause} " for phrase in (*phrases.NEGATIONS, "did not"))
    words = set(clause.split())
    polarities = {
        polarity
        for polarity in (1, -1)
        for word in (
            *phrases.ADJECTIVES[polarity],
            *(form for pair in phrases.VERBS[polarity] for form in pair),
        )
        if word in words
    }
    (polarity,) = polarities
    return polarity * (-1) ** negations


def test_reading_by_hand():
    assert meant("the film is good") == 1
    assert meant("i doubt that the film is anything but good, even if the plot is dull") == 1
    assert meant("although the plot is great, i cannot deny that i did not like it") == -1


@pytest.mark.parametrize("polarity", [1, -1])
def test_a_verdict_means_its_label(polarity):
    for index in range(300):
        verdict = _verdict(generator(0, "train", index), "film", polarity)
        assert meant(verdict) == polarity, verdict


def test_words_do_not_give_the_label_away():
    """The label that the first adjective suggests is right little more often than by chance."""
    right = []
    for index in range(600):
        label = (0, 2)[index % 2]
        words = re.findall(r"\w+", write_review(generator(1, "train", index), label))
        suggested = next((p for w in words for p in (1, -1) if w in phrases.ADJECTIVES[p]), None)
        if suggested is not None:
            right.append((suggested == 1) == (label == 2))
    assert 0.3 < np.mean(right) < 0.7


def test_typos_are_rare_and_of_one_letter():
    rng = np.random.default_rng(0)
    written = [_mistyped(rng, "wonderful,") for _ in range(2000)]
    wrong = [word for word in written if word != "wonderful,"]
    assert 40 < len(wrong) < 120
    for word in wrong:
        assert word[0] == "w"
        assert word[-1] == ","
        assert len(word) in (9, 10)
    assert {_mistyped(rng, "not") for _ in range(500)} == {"not"}


def test_the_tables_are_as_glue_writes_them(tmp_path):
    root = make("sentences", tmp_path / "t", train=90, val=10).directory
    with (root / "train.tsv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    assert header == ["label", "text_a"]
    assert len(rows) == 90
    assert {label for label, _ in rows} == {"0", "1", "2"}
    assert len((root / "labels.txt").read_text().split()) == 3
    tokens = (root / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert tuple(tokens[:5]) == SPECIAL_TOKENS
    characters = set("".join(text for _, text in rows)) - {" "}
    assert characters | {f"##{character}" for character in characters} <= set(tokens)


def test_a_vocabulary_cuts_long_words_in_two():
    tokens = vocabulary(["film", "excruciating"])
    assert len(set(tokens)) == len(tokens)
    assert "film" in tokens
    assert "excruciating" not in tokens
    assert {"excruc", "##iating"} <= set(tokens)


def test_every_written_word_is_in_the_list_of_words(monkeypatch):
    monkeypatch.setattr("tinyint.extras.synthetic.sentences._TYPO", 0)
    known = set(phrases.words())
    for index in range(300):
        review = write_review(generator(2, "val", index), index % 3)
        assert set(re.findall(r"[a-z]+", review)) <= known, review
