"""The form of a report as JSON."""

from __future__ import annotations

import math

from tests import schemas
from tests.proof.build import report
from tinyint.proof.document import ReportDocument


def test_figures_that_are_infinite_are_null_and_those_of_other_types_are_none():
    made = report().to_json()
    assert made["verification"]["sqnr_db"] is None
    assert math.isinf(report().verification.sqnr_db)
    schemas.require_valid(["quantize"], made)
    for key, wrong in (
        ("speedup", "fast"),
        ("warnings", "look"),
        ("form", 1.5),
        ("latency_ms", {"float": 1.0}),
    ):
        assert not schemas.validator("quantize").is_valid(made | {key: wrong})
    assert not schemas.validator("quantize").is_valid(made | {"verdict": made["verdict"] | {"speed": "fast"}})
    schemas.require_valid(["quantize"], {"error": "no"})
    assert not schemas.validator("quantize").is_valid({"error": "no"} | made)


def test_the_report_has_the_keys_of_its_type():
    assert report().to_json().keys() == ReportDocument.__annotations__.keys() - {"budget"}
