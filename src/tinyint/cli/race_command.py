"""Syntax of `--race`, whose seconds may be left out."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from typer.core import TyperCommand

__all__ = ["RaceCommand"]

_SECONDS = 10


class RaceCommand(TyperCommand):
    """Command in which a `--race` without a number after it means ten seconds."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        spelled = [
            f"{word}={_SECONDS}" if word == "--race" and not _is_number(following) else word
            for word, following in pairwise([*args, ""])
        ]
        return super().parse_args(ctx, spelled)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
