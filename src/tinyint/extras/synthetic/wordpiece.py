"""WordPiece vocabulary (Wu et al. 2016) in BERT's form: pieces inside a word begin with ##."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["SPECIAL_TOKENS", "vocabulary"]

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'-"
_ENDINGS = (
    "s",
    "es",
    "ed",
    "er",
    "est",
    "ing",
    "ly",
    "ful",
    "less",
    "able",
    "ness",
    "ous",
    "ive",
    "ion",
    "al",
    "ic",
)
_LONGEST = 9  # letters of a word that is a token of its own; longer words are rare, and split in two


def vocabulary(words: Sequence[str]) -> list[str]:
    """Unique tokens in id order, for words of letters, digits and punctuation."""
    whole = [word for word in words if len(word) <= _LONGEST]
    halves = [half for word in words if len(word) > _LONGEST for half in _halves(word)]
    characters = [*_CHARACTERS, *(f"##{character}" for character in _CHARACTERS)]
    endings = [f"##{ending}" for ending in _ENDINGS]
    return list(dict.fromkeys((*SPECIAL_TOKENS, *characters, *whole, *halves, *endings)))


def _halves(word: str) -> tuple[str, str]:
    middle = len(word) // 2
    return word[:middle], f"##{word[middle:]}"
