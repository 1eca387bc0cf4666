"""Model inputs that are filled from a tokenized text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tinyint.data.tokenizer import Tokens
from tinyint.errors import DataError
from tinyint.numbers.numerics import Array
from tinyint.runtimes.base import TensorSpec

__all__ = ["TextInput", "require_text_inputs", "takes_texts", "text_inputs"]

Role = Literal["tokens", "types", "mask", "positions", "tasks"]

# Names of transformers, of PaddleNLP, and of the first ERNIE's exports.
_ROLES: dict[str, Role] = {
    "input_ids": "tokens",
    "src_ids": "tokens",
    "token_type_ids": "types",
    "segment_ids": "types",
    "sent_ids": "types",
    "attention_mask": "mask",
    "input_mask": "mask",
    "position_ids": "positions",
    "pos_ids": "positions",
    "task_type_ids": "tasks",
}


@dataclass(frozen=True)
class TextInput:
    """Input of shape [N, L], and its part of the tokenized text."""

    spec: TensorSpec
    role: Role

    def fill(self, tokens: Tokens) -> Array:
        """Input array for one text, (1, L), in the model's type."""
        row = {
            "tokens": tokens.ids,
            "types": tokens.types,
            "mask": tokens.mask,
            "positions": np.arange(len(tokens.ids)),
            "tasks": np.zeros(len(tokens.ids)),
        }[self.role]
        array: Array = row.astype(self.spec.dtype)[None]
        return array


def takes_texts(specs: Sequence[TensorSpec]) -> bool:
    """Whether all inputs can be filled from a tokenized text."""
    return all(_is_known(spec) for spec in specs)


def require_text_inputs(specs: Sequence[TensorSpec], source: str) -> None:
    """Raises DataError for a model that takes no texts."""
    for spec in specs:
        if _is_known(spec):
            continue
        known = "" if len(spec.shape) > 2 else f"; known are whole numbers [N, L] named {', '.join(_ROLES)}"
        raise DataError(
            f"{source} holds texts, but the model's input {spec.name!r} is {spec}{known}: give what the model is for, "
            "rename the inputs, or give the samples as arrays (.npz)"
        )
    if not any(_ROLES[spec.name] == "tokens" for spec in specs):
        raise DataError(f"{source} holds texts, but the model has no input `input_ids` for their tokens")


def _is_known(spec: TensorSpec) -> bool:
    role = _ROLES.get(spec.name)
    return role is not None and len(spec.shape) == 2 and (spec.dtype.kind in "iu" or role == "mask")


def text_inputs(specs: Sequence[TensorSpec], max_length: int, source: str) -> list[TextInput]:
    """Inputs of a model for texts of `max_length` tokens.

    Raises DataError for a model that takes no texts, or texts of another length.
    """
    require_text_inputs(specs, source)
    for spec in specs:
        if spec.shape[0] not in (None, 1):
            raise DataError(
                f"the model takes exactly {spec.shape[0]} texts at a time; export it with an open batch axis"
            )
        if spec.shape[1] not in (None, max_length):
            raise DataError(
                f"the preprocessing makes texts of {max_length} tokens, but input {spec.name!r} is {spec}: set "
                f"max_length to {spec.shape[1]}"
            )
    return [TextInput(spec, _ROLES[spec.name]) for spec in specs]
