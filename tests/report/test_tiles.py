"""Tiles: the four parts of the verdict with their figures."""

from dataclasses import replace

from tests.proof.build import report
from tinyint.proof.verify import Cosine
from tinyint.report.tiles import tiles


def test_each_part_with_its_figure():
    accuracy, speed, coverage, size = tiles(report())
    assert (accuracy.finding, accuracy.kind) == ("doubtful", "fair")
    assert accuracy.figure == "SQNR exact"
    assert accuracy.detail == "90.0% same top-1, 16 held-out samples"
    assert (speed.figure, speed.detail, speed.kind) == ("2.00× as fast", "4.00 ms → 2.00 ms", "good")
    assert (coverage.finding, coverage.figure, coverage.kind) == ("low", "75.0%", "fair")
    assert (size.figure, size.detail) == ("4.0× smaller", "4.00 MB → 1.00 MB")


def test_the_worst_sample_is_told():
    made = report()
    proof = replace(made.verification, cosine=Cosine(min=0.907, mean=0.99))  # type: ignore[type-var]
    assert "worst cosine 0.91" in next(iter(tiles(replace(made, verification=proof)))).detail


def test_what_is_unknown_is_said_to_be():
    made = report(verification=None, latency=None)
    made = replace(made, coverage=replace(made.coverage, macs_int8=None))
    accuracy, speed, coverage, _ = tiles(made)
    assert (accuracy.figure, accuracy.detail) == ("–", "not compared with float")
    assert (speed.figure, speed.finding) == ("–", "unknown")
    assert (coverage.figure, coverage.finding) == ("unknown", "unknown")
    planned = replace(made, coverage=replace(made.coverage, macs_int8=0.99, measured=False))
    assert [t.finding for t in tiles(planned)][2] == "planned"
