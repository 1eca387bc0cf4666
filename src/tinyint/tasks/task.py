"""Interface of tasks: a value in the metadata, with all task-specific parts.

A task is one file here and one line in `tinyint.tasks.registry`; what stands outside asks its object.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Self

import onnx_ir as ir
from pydantic import BaseModel, ConfigDict

from tinyint.data import LabelKind
from tinyint.metadata import TASK
from tinyint.numbers.numerics import Array
from tinyint.runtimes import Session
from tinyint.tasks.prediction import Prediction, Seen
from tinyint.tasks.scoring.scorer import Scorer
from tinyint.tasks.tails import Suppression, Tail, TailOptions

if TYPE_CHECKING:
    from tinyint.tasks.learning.learning import Learning

__all__ = ["Task"]


class Task(BaseModel):
    """`task` is its name; `classes`, the class names or None.

    In the order of the model's outputs; None where nobody gave them.

    * `label_kind`: what it is learned from and judged by
    * `headline`: the metric by which the best model is chosen
    * `class_metric`: what is shown of each class, None for nothing
    * `tails`: what its tails make; `tail_options`: the fields of `TailOptions` that it has
    * `entry_keys`: of the entries that `read` gives
    * `loss_options`: the keys of a training's `loss` that only some tasks have, and this one
    * `gives_logits`: whether the first output is logits (N, classes, …)
    * `takes_squares`: whether its images are as high as wide
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    task: str
    classes: tuple[str, ...] | None = None

    label_kind: ClassVar[LabelKind]
    headline: ClassVar[str]
    class_metric: ClassVar[str | None] = None
    tails: ClassVar[tuple[str, ...]] = ()
    tail_options: ClassVar[frozenset[str]] = frozenset()
    entry_keys: ClassVar[frozenset[str]]
    loss_options: ClassVar[frozenset[str]] = frozenset()
    gives_logits: ClassVar[bool] = True
    takes_squares: ClassVar[bool] = False

    def name_of(self, number: int) -> str:
        """The name of a class, or its number where there are no names."""
        if self.classes is not None and 0 <= number < len(self.classes):
            return self.classes[number]
        return str(number)

    def to_metadata(self) -> dict[str, str]:
        """Metadata entries of the task."""
        return {TASK: self.model_dump_json()}

    @classmethod
    def named(cls) -> str:
        return str(cls.model_fields["task"].default)

    @classmethod
    def undescribed(cls) -> Self:
        """Task of a model that only names it.

        Raises ModelError where its outputs cannot be read so.
        """
        return cls(task=cls.named())

    @classmethod
    def recognizes(cls, outputs: Mapping[str, Array]) -> bool:
        """Whether outputs can be of no other task."""
        return False

    def ignored(self, chosen: int | None) -> int:
        """The class number that is not learned; `chosen`: the one that the user gave."""
        return -1 if chosen is None else chosen

    def output_names(self) -> list[str]:
        """Output names of the task's networks in the zoo."""
        return ["logits"]

    @abstractmethod
    def scorer(self) -> Scorer:
        """Raises DependencyError where a package is missing."""
        ...

    def decided(
        self,
        session: Session,
        present: str | None = None,
        *,
        suppression: Suppression | None = None,
        threads: int | None = None,
    ) -> Session:
        """Session with the postprocessing that `scorer` and `read` still need.

        `present`: the part that its model does itself.
        """
        return session

    @abstractmethod
    def tail(self, graph: ir.Graph, options: TailOptions) -> Tail | None:
        """Postprocessing for `export`, None for nothing.

        Raises ModelError.
        """
        ...

    @abstractmethod
    def read(
        self, seen: Seen, outputs: Mapping[str, Array], present: str | None, score_threshold: float
    ) -> Prediction:
        """Prediction from outputs of `decided`, drawn where there is an image.

        Raises ModelError for outputs that do not go with the task, DataError for a sample of several images.
        """
        ...

    @abstractmethod
    def learning(self) -> Learning:
        """Training interface of the task, in torch."""
        ...
