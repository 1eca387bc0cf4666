"""Losses between two reports, by hand."""

import math
from dataclasses import replace

import pytest

from tests.proof.build import report
from tinyint.errors import ReportError
from tinyint.proof.regression import Limits, compare_reports
from tinyint.proof.stored_report import StoredReport
from tinyint.proof.verify import OutputProof


def compared(old, new, **limits):
    names = ("old", "new")
    named = [(name, StoredReport.read(each)[1]) for name, each in zip(names, (old, new), strict=True)]
    return compare_reports(*named, Limits(**limits))


def worse(found):
    return [(row.name, row.output) for row in found.regressions]


def accurate(top1=0.9, sqnr=30.0, **outputs):
    proof = report().verification
    made = {"y": OutputProof(sqnr_db=sqnr, constant_db=0.0, top1_agreement=top1, classified=20), **outputs}
    return report(verification=replace(proof, outputs=made, output_sqnr_db={"y": sqnr}))


def covering(macs, int8=5, in_float=3):
    made = report()
    return replace(
        made, coverage=replace(made.coverage, macs_int8=macs, nodes_int8=int8, nodes_float=in_float)
    )


def test_the_same_report_is_no_regression():
    found = compared(report(), report(), max_drop=0, max_slowdown=0)
    assert found.met
    assert {row.loss for row in found.rows if row.limit is not None} == {0.0}


@pytest.mark.parametrize(("limit", "met"), [(2.0, True), (1.9, False)])
def test_a_share_may_fall_by_so_many_points(limit, met):
    found = compared(accurate(top1=0.9), accurate(top1=0.88), max_drop=limit)
    assert found.met is met
    (row,) = [row for row in found.rows if row.name == "top1_agreement"]
    assert row.loss == pytest.approx(2.0)
    assert (row.old, row.new, row.unit, row.limit) == (0.9, 0.88, "points", limit)


def test_every_output_is_judged():
    old = accurate(other=OutputProof(equal=1.0))
    new = accurate(other=OutputProof(equal=0.5))
    assert worse(compared(old, new, max_drop=1)) == [("equal", "other")]


def test_sqnr_is_judged_in_db_where_it_is_asked_for():
    old, new = accurate(top1=0.9, sqnr=30.0), accurate(top1=0.5, sqnr=28.0)
    assert worse(compared(old, new, max_drop=1.5, metric="sqnr")) == [("sqnr", "y")]
    assert compared(old, new, max_drop=2.5, metric="sqnr").met
    exact = accurate(sqnr=math.inf)
    assert compared(old, exact, max_drop=0, metric="sqnr").met
    assert compared(exact, exact, max_drop=0, metric="sqnr").met
    assert worse(compared(exact, old, max_drop=100, metric="sqnr")) == [("sqnr", "y")]


def test_without_a_limit_the_verdict_on_accuracy_may_get_no_worse():
    good, doubtful = accurate(top1=1.0), accurate(top1=0.6)
    assert [StoredReport.read(each)[1].verdict.accuracy for each in (good, doubtful)] == ["good", "doubtful"]
    assert worse(compared(good, doubtful)) == [("verdict", None)]
    assert compared(doubtful, good).met
    assert compared(doubtful, doubtful).met
    assert compared(good, doubtful, max_drop=50).met


@pytest.mark.parametrize(("limit", "met"), [(51.0, True), (49.0, False)])
def test_int8_may_be_slower_beside_float_by_so_many_percent(limit, met):
    old, new = report(float_ms=4.0, int8_ms=2.0), report(float_ms=4.0, int8_ms=3.0)
    found = compared(old, new, max_slowdown=limit)
    assert found.met is met
    (row,) = [row for row in found.rows if row.name == "speedup"]
    assert (row.old, row.loss) == (2.0, pytest.approx(50.0))
    assert compared(old, new).met  # not asked for


def test_a_machine_that_slows_both_is_no_regression():
    assert compared(report(float_ms=4.0, int8_ms=2.0), report(float_ms=8.0, int8_ms=4.0), max_slowdown=1).met


@pytest.mark.parametrize(("limit", "met"), [(0.0, False), (24.9, False), (25.1, True)])
def test_coverage_may_fall_by_so_many_points_and_not_at_all_by_default(limit, met):
    assert compared(covering(0.75), covering(0.5), max_coverage_drop=limit).met is met
    assert compared(covering(0.5), covering(0.75)).met


def test_nodes_stand_in_where_multiply_adds_cannot_be_counted():
    assert worse(compared(covering(None, 6, 2), covering(None, 5, 3))) == [("coverage.nodes_int8", None)]
    assert compared(covering(0.5, 6, 2), covering(0.5, 5, 3)).met
    assert worse(compared(covering(0.5, 6, 2), covering(None, 5, 3))) == [("coverage.nodes_int8", None)]


def test_a_figure_that_is_asked_for_and_missing_is_said():
    bare = report(verification=None, latency=None)
    with pytest.raises(ReportError, match=r"--max-slowdown: new has no latency"):
        compared(report(), bare, max_slowdown=10)
    with pytest.raises(ReportError, match=r"--max-drop: no figure of accuracy in old"):
        compared(bare, report(), max_drop=1)
    with pytest.raises(ReportError, match=r"no figure of accuracy in old and new"):
        compared(bare, bare, max_drop=1)
    with pytest.raises(
        ReportError, match=r"--metric top5: old and new do not both have it; known: sqnr, top1_agree"
    ):
        compared(report(), report(), max_drop=1, metric="top5")
    levels = report(verification=replace(report().verification, outputs={}))
    with pytest.raises(
        ReportError, match=r"no share in common .* have sqnr: add --metric sqnr, whose drop is in dB"
    ):
        compared(levels, levels, max_drop=1)
    assert compared(bare, bare).met


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"max_drop": -1.0}, "--max-drop -1: expected a number from 0"),
        ({"max_slowdown": math.nan}, "--max-slowdown nan"),
        ({"max_coverage_drop": math.inf}, "--max-coverage-drop inf"),
        ({"metric": "sqnr"}, "--metric sqnr has no effect without --max-drop"),
    ],
)
def test_limits_that_are_none_are_said(limits, told):
    with pytest.raises(ReportError, match=told):
        Limits(**limits)
