"""Tokenization of texts by the `tokenizers` library."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyint.data.text_preprocess import TextPreprocessing
from tinyint.errors import DataError, DependencyError

__all__ = ["Encoder", "Tokens"]

_PADS = ("[PAD]", "<pad>", "<PAD>", "<|endoftext|>")


@dataclass(frozen=True)
class Tokens:
    """The `max_length` tokens of a text or pair.

    `types`: 0 or 1, the text that a token belongs to; `mask`: 0 for padding.
    """

    ids: NDArray[np.int64]
    types: NDArray[np.int64]
    mask: NDArray[np.int64]


@dataclass(frozen=True)
class Encoder:
    """Tokenizer of a declaration whose file is located."""

    declared: TextPreprocessing

    def __call__(self, text: str, pair: str | None = None) -> Tokens:
        """Tokens of a text or pair, with special tokens, padded or truncated to `max_length`.

        Of a pair that is too long, the longer text is truncated first.
        """
        encoding = self._tokenizer.encode(text, pair)
        rows = (encoding.ids, encoding.type_ids, encoding.attention_mask)
        return Tokens(*(np.array(row, np.int64) for row in rows))

    @cached_property
    def _tokenizer(self) -> Any:
        path, length = Path(self.declared.tokenizer), self.declared.max_length
        try:
            tokenizer = self._open(path)
        except ImportError:
            raise DependencyError("texts need the package tokenizers: pip install 'tinyint[text]'") from None
        except Exception as error:  # the library raises plain exceptions, and TypeError for missing tokens
            raise DataError(f"cannot read the tokenizer {path}: {error}") from None
        pad = next((token for token in _PADS if tokenizer.token_to_id(token) is not None), None)
        if pad is None:
            raise DataError(
                f"the tokenizer {path} has no token for padding; expected one of {', '.join(_PADS)}"
            )
        tokenizer.enable_truncation(length, strategy="longest_first")
        tokenizer.enable_padding(length=length, pad_id=tokenizer.token_to_id(pad), pad_token=pad)
        return tokenizer

    def _open(self, path: Path) -> Any:
        from tokenizers import BertWordPieceTokenizer, Tokenizer

        if path.suffix == ".json":
            return Tokenizer.from_file(str(path))
        return BertWordPieceTokenizer(str(path), lowercase=self.declared.lowercase is not False)
