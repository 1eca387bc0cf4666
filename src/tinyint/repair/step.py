"""What a repair step is: a change of the float graph, or of what quantization makes of it.

Everything is frozen: a step returns new values, and a sentence on what was done, also if that is nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from tinyint.calibrate import CalibrationRecord, Decision
from tinyint.calibrate.statistics import Request
from tinyint.plan import Plan
from tinyint.qparams import Assignment

__all__ = ["FloatStep", "ParameterStep", "Quantization"]


class FloatStep(ABC):
    """Comes before ranges are known: the float graph computes the same as before, and is easier to quantize.

    * `name`: in recipes
    * `version`: raise it when the same model would come out differently, so that no older record is taken for it
    * `reads_data`: whether it decides by what samples make of the graph
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    reads_data: ClassVar[bool] = False

    def needs(self, model: ir.Model) -> frozenset[Request]:  # noqa: ARG002
        """What calibration must observe in the prepared graph, beside its summaries."""
        return frozenset()

    def decide(self, model: ir.Model, record: CalibrationRecord) -> Decision:  # noqa: ARG002
        """What the samples say, enough to carry the step out without them; {} for nothing to do."""
        return {}

    def moved(self, model: ir.Model, decision: Decision) -> frozenset[str]:  # noqa: ARG002
        """The tensors that hold something else after the step; the others are held to what they held."""
        return frozenset()

    @abstractmethod
    def apply(self, model: ir.Model, decision: Decision) -> tuple[ir.Model, str]:
        """The new graph, or the graph itself where nothing is changed, and what was done.

        Raises RecordError for a decision on another graph.
        """


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """All that lies between the float graph and the file: what is quantized, how, and by which samples."""

    graph: ir.Model
    plan: Plan
    record: CalibrationRecord
    assignment: Assignment


class ParameterStep(ABC):
    """Comes after ranges are known: other weights or biases in the graph, other scales or codes in the assignment."""

    name: ClassVar[str]

    def needs(self, model: ir.Model) -> frozenset[Request]:  # noqa: ARG002
        """What calibration must observe in the prepared graph, beside its summaries."""
        return frozenset()

    @abstractmethod
    def apply(self, state: Quantization) -> tuple[Quantization, str]:
        """The new state, and what was done."""
