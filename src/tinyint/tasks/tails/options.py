"""Postprocessing options of `export`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinyint.tasks.tails.suppression import Suppression

__all__ = ["TailOptions"]


@dataclass(frozen=True, kw_only=True)
class TailOptions:
    """Postprocessing options; each belongs to the tasks that name it in `Task.tail_options`.

    `nms`: settings of NMS; None without NMS.
    """

    with_softmax: bool = False
    without_argmax: bool = False
    nms: Suppression | None = None

    def given(self) -> Iterator[str]:
        """Names of the options that differ from the default."""
        if self.with_softmax:
            yield "with_softmax"
        if self.without_argmax:
            yield "without_argmax"
        if self.nms is not None:
            yield "nms"
