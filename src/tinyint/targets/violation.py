"""Objections of a backend to a quantized model."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Violation"]


@dataclass(frozen=True, kw_only=True)
class Violation:
    """Rule that a node breaks.

    `fatal`: the backend refuses or miscomputes it, else it is slower.
    """

    backend: str
    rule: str
    node: str
    message: str
    fatal: bool

    def __str__(self) -> str:
        effect = f"{self.backend} refuses it" if self.fatal else f"slower on {self.backend}"
        where = f"{self.node} " if self.node else ""
        return f"{effect} ({self.rule}): {where}{self.message}"
