"""Costs of kernels in float and in int8, and of the conversions between them.

Measured once by `benchmarks/costs.py`; the figures are in `costs.json`, with processor and version. Placement weighs
ratios of them, so those of another processor of the kind do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from tinyint.targets.target import Target

__all__ = ["Costs", "Line", "costs_of"]


@dataclass(frozen=True, kw_only=True)
class Line:
    """Microseconds of a kernel: `fixed`, and `each` for a thousand multiply-adds or elements."""

    fixed: float
    each: float

    def __call__(self, work: float) -> float:
        return self.fixed + self.each * work / 1000


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Costs on one processor, in microseconds.

    * `kernels`: (float, int8) by kind of operator: "pointwise", "spatial" and "depthwise" convolutions, "matmul",
      "deconvolution", by multiply-adds; operators without weights by their own names, "move" for those that only move
      values, by elements of their results
    * `quantize`, `dequantize`: by elements
    * `processor`, `version`: on which, and with which version of the runtime, they were measured
    """

    target: str
    processor: str
    version: str
    kernels: Mapping[str, tuple[Line, Line]]
    quantize: Line
    dequantize: Line


def costs_of(target: Target) -> Costs:
    """Costs measured for the target, else for another one on its runtime."""
    rows = _rows()
    of_runtime = [row for runtime, row in rows if runtime == target.runtime]
    return next((row for row in of_runtime if row.target == target.name), (of_runtime or [rows[0][1]])[0])


@cache
def _rows() -> list[tuple[str, Costs]]:
    text = (resources.files("tinyint.targets") / "costs.json").read_text(encoding="utf-8")
    return [(row["runtime"], _row(row)) for row in json.loads(text)]


def _row(row: Mapping[str, Any]) -> Costs:
    return Costs(
        target=row["target"],
        processor=row["processor"],
        version=row["version"],
        kernels={
            kind: (Line(**pair["float"]), Line(**pair["int8"])) for kind, pair in row["kernels"].items()
        },
        quantize=Line(**row["quantize"]),
        dequantize=Line(**row["dequantize"]),
    )
