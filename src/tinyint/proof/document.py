"""Form of a report as JSON: its keys, and what each holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NotRequired

from typing_extensions import TypedDict  # typing's own has no types to read at run time before Python 3.12

from tinyint.proof.coverage import FloatNode
from tinyint.proof.layers import Layers
from tinyint.proof.light import Light
from tinyint.proof.placement_race import Candidate
from tinyint.proof.verdict import Verdict
from tinyint.proof.verify import Verification
from tinyint.runtimes.base import Precision

__all__ = ["Bytes", "LabelledAccuracy", "Milliseconds", "ReportDocument"]

# A key that is called float would hide the type from those after it in a class.
Milliseconds = TypedDict("Milliseconds", {"float": float, "int8": float})  # noqa: UP013
Bytes = TypedDict("Bytes", {"float": int, "int8": int})  # noqa: UP013
LabelledAccuracy = TypedDict(  # noqa: UP013
    "LabelledAccuracy", {"float": Mapping[str, float | None], "int8": Mapping[str, float | None]}
)


class CoverageDocument(TypedDict):
    """Share in int8; null where some multiply-accumulates cannot be counted."""

    macs_int8: float | None
    macs_planned: float | None
    measured: bool
    nodes_int8: int
    nodes_float: int


class RuntimeDocument(TypedDict):
    """Runtime of the measurement; `precision` is of what is not quantized."""

    name: str
    version: str | None
    precision: Precision | None
    threads: int


class RaceDocument(TypedDict):
    """Race of placements."""

    chosen: str
    candidates: Sequence[Candidate]
    float_ms: float
    samples: int
    held_out: bool
    threads: int
    seconds: float
    remembered: bool


class SearchDocument(TypedDict):
    """Search within a budget; `reference` is null for sqnr."""

    met: bool
    finished: bool
    metric: str
    reference: float
    value: float
    in_float: Sequence[str]
    trials: int


class ReportDocument(TypedDict):
    """Report on a quantized model; `budget` is there with --max-drop."""

    verdict: Verdict
    light: Light
    output: str | None
    source: str
    model_fingerprint: str
    method: str
    target: str
    recipe: str
    recipe_yaml: str
    coverage: CoverageDocument
    float_nodes: Sequence[FloatNode]
    held_out: bool | None
    verification: Verification | None
    latency_ms: Milliseconds | None
    latency_p90_ms: Milliseconds | None
    latency_native: bool | None
    speedup: float | None
    size_bytes: Bytes
    seconds: Mapping[str, float]
    peak_rss_bytes: int | None
    calibration_samples: int | None
    runtime: RuntimeDocument
    host: str
    race: RaceDocument | None
    steps: Sequence[str]
    command: str | None
    warnings: Sequence[str]
    notes: Sequence[str]
    tinyint: str
    form: int
    layers: Layers | None
    budget: NotRequired[SearchDocument]
