"""Options of any run: the machine's use, progress and notices."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Protocol

from tinyint.errors import TinyintError, TinyintWarning
from tinyint.runtimes.base import Provider

__all__ = ["Progress", "Run", "silent", "warn"]


class Progress(Protocol):
    """Called with a step's name, the amount done, and the total or None."""

    def __call__(self, step: str, done: int, total: int | None) -> None: ...


def silent(step: str, done: int, total: int | None) -> None:
    """Tells nobody."""


def warn(notice: str) -> None:
    """Warns the caller of the verb with a TinyintWarning."""
    warnings.warn(notice, TinyintWarning, stacklevel=3)


@dataclass(frozen=True, kw_only=True)
class Run:
    """Options of a run that do not change what it is about.

    * `threads`: of the runtime; all cores by default
    * `batch_size`: samples in one call, where the model's batch is open
    * `provider`: what ONNX Runtime calibrates on, "cpu" or "cuda"
    * `verify`: whether the int8 model is proved on its runtime
    * `race`: seconds in which placements of int8 are timed in turn, for the fastest to be kept; None for no race
    * `progress`: called as the work goes on
    * `notice`: called with what the user should know and no result holds; a TinyintWarning by default
    """

    threads: int | None = None
    batch_size: int = 1
    provider: Provider = "cpu"
    verify: bool = True
    race: float | None = None
    progress: Progress = silent
    notice: Callable[[str], object] = warn

    def require_only(self, verb: str, *names: str) -> None:
        """Raises TinyintError where an option other than `names` is set.

        `verb` has no use for it.
        """
        for option in fields(self):
            if option.name in (*names, "progress", "notice"):
                continue
            value = getattr(self, option.name)
            if value != option.default:
                raise TinyintError(
                    f"{verb} has no use for Run({option.name}={value!r}); leave it out"
                    + (f" (it takes {', '.join(names)})" if names else "")
                )
