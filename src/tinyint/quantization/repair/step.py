"""Interface of repair steps: changes of the float graph or its quantization.

Everything is frozen: a step returns new values, and a sentence on what was done, also if that is nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from tinyint.quantization.calibration import CalibrationRecord, Decision
from tinyint.quantization.calibration.statistics import Request
from tinyint.quantization.plan import Plan
from tinyint.quantization.qparams import Assignment
from tinyint.runtimes import Feeds

__all__ = ["FloatStep", "ParameterStep", "Quantization"]


class FloatStep(ABC):
    """Step before ranges: same function, easier to quantize.

    * `name`: in recipes
    * `version`: raise it when the same model would come out differently, so that no older record is taken for it
    * `reads_data`: whether it decides by what samples make of the graph
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    reads_data: ClassVar[bool] = False

    def needs(self, model: ir.Model) -> frozenset[Request]:  # noqa: ARG002
        """Statistics to observe in the prepared graph, beside its summaries."""
        return frozenset()

    def decide(self, model: ir.Model, record: CalibrationRecord) -> Decision:  # noqa: ARG002
        """Decisions from the samples, enough to repeat the step; {} for nothing to do."""
        return {}

    def moved(self, model: ir.Model, decision: Decision) -> frozenset[str]:  # noqa: ARG002
        """Tensors whose values the step changes; the others are checked as unchanged."""
        return frozenset()

    @abstractmethod
    def apply(self, model: ir.Model, decision: Decision) -> tuple[ir.Model, str]:
        """New graph, or the same if nothing changed, and a note.

        Raises RecordError for a decision on another graph.
        """


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """State between float graph and file: schemes, parameters, samples.

    `samples`: to run, the first of the calibration; none with a record alone.
    """

    graph: ir.Model
    plan: Plan
    record: CalibrationRecord
    assignment: Assignment
    samples: Sequence[Feeds] = ()


class ParameterStep(ABC):
    """Step after ranges: changes weights, biases, scales or codes.

    * `name`: in recipes
    * `samples`: how many it runs, if they are there
    """

    name: ClassVar[str]
    samples: ClassVar[int] = 0

    def needs(self, model: ir.Model) -> frozenset[Request]:  # noqa: ARG002
        """Statistics to observe in the prepared graph, beside its summaries."""
        return frozenset()

    @abstractmethod
    def apply(self, state: Quantization) -> tuple[Quantization, str]:
        """New state, and a note."""
