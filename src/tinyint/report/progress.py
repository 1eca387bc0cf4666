"""Progress of verbs in Python.

Bars in a notebook, a line on a terminal, nothing elsewhere.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any

__all__ = ["Bars", "progress"]

_PAUSE = 0.1  # seconds between two updates; the first and the last of a step come always

Show = Callable[[dict[str, "Step"]], None]


@dataclass(frozen=True, kw_only=True)
class Step:
    """Step of the work; `total` is None where it is not known."""

    done: int
    total: int | None

    def __str__(self) -> str:
        """ "12/64", or "12" without a total"""
        return str(self.done) if self.total is None else f"{self.done}/{self.total}"


@dataclass(kw_only=True)
class Bars:
    """Listener for `Run.progress` that hands its steps to `show`."""

    show: Show
    clock: Callable[[], float] = time.monotonic
    steps: dict[str, Step] = field(default_factory=dict)
    _shown: float = -_PAUSE

    def __call__(self, step: str, done: int, total: int | None) -> None:
        new, now = step not in self.steps, self.clock()
        self.steps[step] = Step(done=done, total=total)
        if new or done == total or now - self._shown >= _PAUSE:
            self._shown = now
            self.show(self.steps)


def progress() -> Bars:
    """Listener that shows the progress of verbs where there is somebody to see it.

    For `Run(progress=tinyint.progress())`.
    """
    if (display := _notebook()) is not None:
        return Bars(show=_Cell(display))
    return Bars(show=_line if sys.stderr.isatty() else lambda _: None)


def _notebook() -> Any:
    """IPython's module of displays, if this is a notebook's kernel; it is loaded there already."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return None if getattr(shell, "kernel", None) is None else sys.modules["IPython.display"]


class _Cell:
    """Output of a cell, which is replaced as the work goes on."""

    def __init__(self, display: Any) -> None:
        self._display = display
        self._handle: Any = None

    def __call__(self, steps: dict[str, Step]) -> None:
        html = self._display.HTML("".join(_bar(name, step) for name, step in steps.items()))
        if self._handle is None:
            self._handle = self._display.display(html, display_id=True)
        else:
            self._handle.update(html)


def _bar(name: str, step: Step) -> str:
    known = step.total is not None or step.done
    amount = f'value="{step.done}" max="{step.total}"' if step.total else 'value="1" max="1"'
    return f"<div><progress {amount}></progress> {escape(name)}{f' {step}' if known else ''}</div>"


def _line(steps: dict[str, Step]) -> None:
    name, step = list(steps.items())[-1]
    ended = step.done == step.total
    sys.stderr.write(f"\r\x1b[2K{name} {step}{chr(10) if ended else ''}")
    sys.stderr.flush()
