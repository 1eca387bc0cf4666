"""The race in words."""

from __future__ import annotations

from dataclasses import replace

from tests.proof.build import report
from tests.proof.test_kept_races import RACE
from tinyint.report.race import RaceRow, race_rows, race_title


def test_rows():
    assert list(race_rows(RACE)) == [
        RaceRow(name="float", milliseconds="4.00 ms", speed="1.00×"),
        RaceRow(name="as planned", nodes="3", milliseconds="2.00 ms", speed="2.00×", sqnr="30.0 dB"),
        RaceRow(
            name="by cost", nodes="2", milliseconds="1.50 ms", speed="2.67×", sqnr="31.0 dB", top1="100.0%",
            remark="chosen",
        ),
        RaceRow(name="other", nodes="0", milliseconds="–", speed="–", sqnr="–", remark="out: worse"),
    ]  # fmt: skip


def test_the_title_says_how_it_was_measured():
    assert race_title(RACE) == "placements: 1.5 s in turn, 2 threads, 8 held-out samples"
    assert race_title(replace(RACE, remembered=True, held_out=False)) == (
        "placements: 1.5 s in turn, 2 threads, 8 calibration samples; remembered from an earlier run"
    )


def test_a_race_that_float_wins_is_told_with_the_way_out():
    assert report().with_race(None) == report()
    assert report().with_race(RACE).warnings == ("look here",)
    lost = report().with_race(replace(RACE, float_milliseconds=1.0))
    assert lost.warnings[1:] == (
        "no placement that is accurate enough was as fast as float in the race: 1.50 ms at best, float 1.00 ms; the "
        "recipe weight_only keeps float's speed, and stores the weights in integers (--recipe weight_only)",
    )
