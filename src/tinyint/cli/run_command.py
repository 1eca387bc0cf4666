"""Syntax of training commands: several changes after one -o, optional option values."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from typer.core import TyperCommand

__all__ = ["RunCommand"]

_CHANGES = ("-o", "--override")
_BARE = ("--resume", "--help-config")
"""Without a value they mean the checkpoint in DIR, and all keys."""


class RunCommand(TyperCommand):
    """Command without arguments: a word after a value is another value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _spelled_out(args))


def _spelled_out(words: list[str]) -> list[str]:
    """`-o a=b c=d` as `-o a=b -o c=d`, and a bare `--resume` as `--resume=`."""
    spelled: list[str] = []
    changing = False  # whether the word before is a change, or takes one
    for word, following in pairwise([*words, "-"]):
        if word.startswith("-"):
            changing = word.startswith(_CHANGES)
            bare = word in _BARE and following.startswith("-")
            spelled.append(f"{word}=" if bare else word)
        elif changing and "=" in word and spelled[-1] not in _CHANGES:
            spelled += ["-o", word]
        else:
            spelled.append(word)
    return spelled
