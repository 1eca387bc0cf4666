"""Stored report, as far as a later one is compared with it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, ValidationError

import tinyint
from tinyint.errors import ReportError
from tinyint.files.documents import DocumentError, read_document, sentences, shown
from tinyint.proof.report import FORM, Report
from tinyint.proof.verdict import Accuracy

__all__ = ["Figures", "Key", "StoredReport", "Unit"]

Unit: TypeAlias = Literal["points", "dB", "%", ""]
Key: TypeAlias = tuple[str, str | None]
"""Name of a figure, and the output that it is of."""
Figures: TypeAlias = dict[Key, tuple[float, Unit]]

_MAKERS = "the file NAME.report.json beside a model, or what quantize or demo print with --json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Verdict(_Part):
    accuracy: Accuracy


class _Coverage(_Part):
    macs_int8: float | None
    measured: bool
    nodes_int8: int
    nodes_float: int


class _Output(_Part):
    top1_agreement: float | None
    equal: float | None
    rows_matched: float | None


class _Verification(_Part):
    samples: int
    held_out: bool
    output_sqnr_db: dict[str, float | None]
    outputs: dict[str, _Output]


class _Latency(_Part):
    int8: NonNegativeFloat
    float: NonNegativeFloat


class _Runtime(_Part):
    name: str
    version: str | None
    precision: str | None
    threads: int


class _Budget(_Part):
    metric: str
    value: float | None


class _Labelled(_Part):
    int8: dict[str, float | None]


class StoredReport(_Part):
    """Part of a report's document that a check needs; the names are its keys."""

    verdict: _Verdict
    source: str
    model_fingerprint: str
    target: str
    coverage: _Coverage
    verification: _Verification | None
    latency_ms: _Latency | None
    latency_native: bool | None
    size_bytes: Mapping[Literal["float", "int8"], int]
    runtime: _Runtime
    host: str
    tinyint: str
    accuracy: _Labelled | None = None
    budget: _Budget | None = None

    @classmethod
    def read(cls, report: Report | str | Path) -> tuple[str, Self]:
        """Name for messages, and the report. Raises ReportError for anything else than a report."""
        if isinstance(report, Report):
            return report.output or report.source, cls._of(report.to_json(), "the report")
        return str(report), cls._of(_document(report), str(report))

    @classmethod
    def _of(cls, document: Any, name: str) -> Self:
        if not isinstance(document, dict) or not {"recipe_yaml", "tinyint"} <= document.keys():
            seen = f"a mapping with {_listed(document)}" if isinstance(document, dict) else shown(document)
            raise ReportError(f"{name} is no report of tinyint: got {seen}; give {_MAKERS}")
        if document.get("form") != FORM:
            raise ReportError(
                f"{name} is a report of the form {shown(document.get('form'))}, by tinyint "
                f"{shown(document['tinyint'])}; tinyint {tinyint.__version__} reads the form {FORM}: make the report "
                "anew with this version, or check it with that one"
            )
        try:
            return cls.model_validate(document, strict=True)
        except ValidationError as error:
            told = sentences(_mistake(dict(each)) for each in error.errors(include_url=False))
            raise ReportError(f"{name}: damaged report: {told}; make it anew with tinyint quantize") from None

    def accuracies(self) -> Figures:
        """Figures of accuracy: the higher the better; infinite SQNR for outputs as in float."""
        found: Figures = {}
        for name, value in (self.accuracy.int8 if self.accuracy else {}).items():
            if value is not None:
                found[name, None] = value, "points"
        if self.budget is not None and self.budget.metric != "sqnr" and self.budget.value is not None:
            of_task = ":" not in self.budget.metric
            value = self.budget.value / 100 if of_task else self.budget.value
            found[self.budget.metric, None] = value, "points" if of_task else ""
        return found | dict(self._beside_float())

    def _beside_float(self) -> Iterator[tuple[Key, tuple[float, Unit]]]:
        if self.verification is None:
            return
        for name, output in self.verification.outputs.items():
            for figure in ("top1_agreement", "equal", "rows_matched"):
                share = getattr(output, figure)
                if share is not None:
                    yield (figure, name), (share, "points")
        for name, level in self.verification.output_sqnr_db.items():
            yield ("sqnr", name), (math.inf if level is None else level, "dB")


def _document(path: str | Path) -> Any:
    try:
        return json.loads(read_document(path))
    except DocumentError as error:
        raise ReportError(f"cannot read the report '{path}': {error.problem}") from None
    except (ValueError, RecursionError):
        raise ReportError(f"{path} is no report: it is not JSON; give {_MAKERS}") from None


def _listed(document: dict[str, Any]) -> str:
    keys = [shown(key) for key in list(document)[:4]]
    return f"the keys {', '.join(keys)}{' and others' if len(document) > 4 else ''}" if keys else "no keys"


def _mistake(error: dict[str, Any]) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "missing":
        return f"the key {key} is missing"
    return f"{key}: got {shown(error['input'])}, {str(error['msg']).replace('Input should be', 'expected')}"
