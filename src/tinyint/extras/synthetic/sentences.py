"""Short reviews with negations, others' opinions and facts, in GLUE's format.

    train.tsv, val.tsv      a header 'label<TAB>text_a', then one review per line
    vocab.txt               WordPiece: special tokens, letters, words, pieces of rare words
    labels.txt              class names, one per line

The label is the writer's own verdict on the whole subject: negative, neutral (no verdict) or positive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np

from tinyint.extras.synthetic import phrases
from tinyint.extras.synthetic.family import Family, Split, generator, write_lines
from tinyint.extras.synthetic.wordpiece import vocabulary

__all__ = ["CLASSES", "Sentences", "write_review"]

CLASSES = ("negative", "neutral", "positive")

_FLIPS = (0.75, 0.23, 0.02)  # probability of 0, 1, 2 negations in a verdict
_KINDS = (0.4, 0.2, 0.2, 0.2)  # of distractors: facts, others' opinions, expectations, others of its kind
_TYPO = 0.04  # share of the longer words
_LONG = 4  # letters of the shortest words that may be mistyped
_LETTERS = "abcdefghijklmnopqrstuvwxyz"

_T = TypeVar("_T")


@dataclass(frozen=True)
class Sentences(Family):
    """3 classes, English, lower case."""

    name: ClassVar[str] = "sentences"
    title: ClassVar[str] = (
        "reviews with negation and distractors, as GLUE's tables, with a WordPiece vocabulary"
    )
    task: ClassVar[str] = "text classification"
    counts: ClassVar[tuple[int, int]] = (20_000, 4_000)
    least_size: ClassVar[int] = 0
    classes: ClassVar[tuple[str, ...]] = CLASSES

    size: int = 0

    def prepare(self, root: Path) -> None:
        write_lines(root / "labels.txt", CLASSES)
        write_lines(root / "vocab.txt", vocabulary(phrases.words()))

    def write_sample(self, root: Path, seed: int, split: Split, index: int) -> str:  # noqa: ARG002  one file for all
        rng = generator(seed, split, index)
        label = int(rng.integers(len(CLASSES)))
        return f"{label}\t{write_review(rng, label)}"

    def write_list(self, root: Path, split: Split, samples: Sequence[str]) -> None:
        write_lines(root / f"{split}.tsv", ["label\ttext_a", *samples])


def write_review(rng: np.random.Generator, label: int) -> str:
    """Review with the verdict `CLASSES[label]`."""
    subject = _choose(rng, tuple(phrases.SUBJECTS))
    parts = [_distractor(rng, subject) for _ in range(rng.integers(1, 3))]
    if label != 1:
        parts.insert(int(rng.integers(len(parts) + 1)), _verdict(rng, subject, 1 if label == 2 else -1))
    return " ".join(_mistyped(rng, word) for word in " ".join(f"{part}." for part in parts).split())


def _verdict(rng: np.random.Generator, subject: str, polarity: int) -> str:
    """Sentence with the writer's verdict; each negation inverts it."""
    flips = int(rng.choice(len(_FLIPS), p=_FLIPS))
    inner = min(flips, int(rng.integers(0, 2)))
    about = _choose(rng, (f"the {subject}", "it"))
    clause = _opinion(rng, about, polarity * (-1) ** flips, negated=inner == 1)
    for i in rng.permutation(len(phrases.DENIALS))[: flips - inner]:
        clause = f"{phrases.DENIALS[i]} {clause}"
    if rng.random() < 0.25:
        clause = f"{_choose(rng, phrases.AFFIRMATIONS)} {clause}"
    if rng.random() < 0.35:
        part = f"the {_choose(rng, phrases.SUBJECTS[subject])}"
        aspect = _side_remark(rng, part, -polarity if rng.random() < 0.5 else polarity)
        clause = _choose(rng, (f"although {aspect}, {clause}", f"{clause}, even if {aspect}"))
    return clause


def _opinion(rng: np.random.Generator, about: str, polarity: int, *, negated: bool) -> str:
    """Plain clause with a word of this polarity, perhaps negated."""
    if rng.random() < 0.25:
        past, base = _frequent(rng, phrases.VERBS[polarity])
        return f"i did not {base} {about}" if negated else f"i {past} {about}"
    return _judged(rng, about, polarity, negated=negated)


def _judged(rng: np.random.Generator, about: str, polarity: int, *, negated: bool) -> str:
    word = _frequent(rng, phrases.ADJECTIVES[polarity])
    return f"{about} is {_choose(rng, phrases.NEGATIONS if negated else phrases.DEGREES)} {word}".replace(
        "  ", " "
    )


def _side_remark(rng: np.random.Generator, about: str, polarity: int) -> str:
    """Off-topic clause, sometimes negated."""
    negated = rng.random() < 0.3
    return _judged(rng, about, -polarity if negated else polarity, negated=negated)


def _distractor(rng: np.random.Generator, subject: str) -> str:
    """Clause without the writer's verdict.

    It is a fact, another's opinion, an expectation, or about another subject of the same kind.
    """
    polarity = int(rng.choice((-1, 1)))
    kind = rng.choice(4, p=_KINDS)
    if kind == 0:
        return _choose(rng, phrases.FACTS).format(
            subject=subject, aspect=_choose(rng, phrases.SUBJECTS[subject])
        )
    if kind == 1:
        past, base = _frequent(rng, phrases.VERBS[polarity])
        person = _choose(rng, phrases.PEOPLE)
        return f"{person} did not {base} it" if rng.random() < 0.3 else f"{person} {past} the {subject}"
    if kind == 2:
        word = _frequent(rng, phrases.ADJECTIVES[polarity])
        return _choose(rng, phrases.EXPECTATIONS).format(subject=subject, word=word)
    return _side_remark(rng, _choose(rng, phrases.ELSEWHERE).format(subject=subject), polarity)


def _choose(rng: np.random.Generator, options: Sequence[_T]) -> _T:
    return options[int(rng.integers(len(options)))]


def _frequent(rng: np.random.Generator, options: Sequence[_T]) -> _T:
    """Random option, the first ones more often, as in language (Zipf)."""
    weights = 1 / (np.arange(len(options)) + 2.0)
    return options[int(rng.choice(len(options), p=weights / weights.sum()))]


def _mistyped(rng: np.random.Generator, word: str) -> str:
    """Word, rarely with two letters swapped, one missing, or a wrong one."""
    letters = len(word.rstrip(".,"))
    if letters < _LONG or rng.random() >= _TYPO:
        return word
    i = int(rng.integers(1, letters - 1))
    return _choose(
        rng,
        (
            word[:i] + word[i + 1] + word[i] + word[i + 2 :],
            word[:i] + word[i + 1 :],
            word[:i] + _choose(rng, _LETTERS) + word[i + 1 :],
        ),
    )
