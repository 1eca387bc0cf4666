"""Interface of tasks: a value, saved in the metadata, with all task-specific parts.

A task is one file here and one line in `tinyint.tasks.registry`; other packages only use its object.
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
    """Task of a model.

    * `task`: its name
    * `classes`: class names in the order of the model's outputs; None if unknown
    * `label_kind`: kind of labels for training and evaluation
    * `headline`: metric by which the best model is chosen
    * `class_metric`: metric that is reported per class, or None
    * `tails`: kinds of its tails; `tail_options`: its fields of `TailOptions`
    * `entry_keys`: keys of the entries of a prediction
    * `loss_options`: its keys of a training's `loss`, other than those of all tasks
    * `gives_logits`: whether the first output is logits (N, classes, …)
    * `takes_squares`: whether its images are square
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
        """Name of a class; its number if there are no names."""
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
        """Task without details, for a model that only names it.

        Raises ModelError if the outputs cannot be read without details.
        """
        return cls(task=cls.named())

    @classmethod
    def recognizes(cls, outputs: Mapping[str, Array]) -> bool:
        """Whether the outputs can only be of this task."""
        return False

    def ignored(self, chosen: int | None) -> int:
        """Class number that is not learned; `chosen`: the user's, or None."""
        return -1 if chosen is None else chosen

    def output_names(self) -> list[str]:
        """Output names of the task's networks in the zoo."""
        return ["logits"]

    @abstractmethod
    def scorer(self) -> Scorer:
        """New scorer of the task; raises DependencyError if a package is missing."""
        ...

    def decided(
        self,
        session: Session,
        present: str | None = None,
        *,
        suppression: Suppression | None = None,
        threads: int | None = None,
    ) -> Session:
        """Session with the postprocessing that `scorer` and `read` need.

        `present`: kind of the postprocessing that the model does itself.
        """
        return session

    @abstractmethod
    def tail(self, graph: ir.Graph, options: TailOptions) -> Tail | None:
        """Postprocessing that `export` appends, or None. Raises ModelError."""
        ...

    @abstractmethod
    def read(
        self, seen: Seen, outputs: Mapping[str, Array], present: str | None, score_threshold: float
    ) -> Prediction:
        """Prediction from the outputs of a `decided` session, drawn onto the image, if any.

        Raises ModelError for outputs that do not fit the task, DataError for a sample of several images.
        """
        ...

    @abstractmethod
    def learning(self) -> Learning:
        """Training interface of the task, in torch."""
        ...
