from dataclasses import replace
from typing import Any

import pytest

from tests.proof.build import report, timing
from tinyint.proof.columns import Columns
from tinyint.proof.measured import Latency, Sizes
from tinyint.proof.verdict import Verdict, judge
from tinyint.proof.verify import OutputProof, Verification
from tinyint.report.words import headline, size_change, speed_change


def verification(output: OutputProof | None = None, **changes: Any) -> Verification:
    proof = report().verification
    assert proof is not None
    return replace(proof, **{"outputs": {"y": output or good()}, **changes})


def good(**changes: Any) -> OutputProof:
    return replace(OutputProof(sqnr_db=30.0, simulated_sqnr_db=30.0, constant_db=0.0, lsb_max=0.5), **changes)


def latency(baseline: float, int8: float, *, best: float | None = None, native: bool = True) -> Latency:
    return Latency(baseline=timing(baseline, baseline), int8=timing(int8, best or int8), native=native)


def verdict(output: OutputProof | None = None, *, native: bool = True, **changes: Any) -> Verdict:
    return judge(verification(output, **changes), latency(4, 2, native=native), Sizes(baseline=4, int8=1))


GOOD_COLUMNS = Columns(columns=(4, 5), peak=0.9, sqnr_db=12.0, constant_db=1.0)


@pytest.mark.parametrize(
    ("changes", "accuracy"),
    [
        ({}, "good"),
        ({"sqnr_db": 20.0, "simulated_sqnr_db": 20.0}, "good"),
        ({"sqnr_db": 19.9, "simulated_sqnr_db": 19.9}, "doubtful"),
        ({"sqnr_db": 2.8, "simulated_sqnr_db": 2.8}, "doubtful"),
        ({"sqnr_db": 0.0, "simulated_sqnr_db": 0.0}, "broken"),
        ({"sqnr_db": -12.3, "simulated_sqnr_db": -12.3}, "broken"),
        ({"sqnr_db": 6.0, "simulated_sqnr_db": 6.0, "constant_db": 6.5}, "broken"),
        ({"sqnr_db": 30.0, "constant_db": 35.0}, "good"),
        ({"sqnr_db": 6.0, "simulated_sqnr_db": 6.0, "constant_db": float("inf")}, "doubtful"),
        ({"top1_agreement": 0.98, "classified": 100}, "good"),
        ({"top1_agreement": 0.97, "classified": 100}, "doubtful"),
        ({"top1_agreement": 0.49, "classified": 100}, "broken"),
        ({"top1_agreement": 0.75, "classified": 4}, "good"),  # one row, which may be a tie
        ({"sqnr_db": 28.9}, "good"),
        ({"sqnr_db": 28.9, "lsb_max": 1.1}, "broken"),
        ({"sqnr_db": 29.1, "lsb_max": 9.0}, "good"),
        ({"columns": GOOD_COLUMNS}, "good"),
        ({"columns": replace(GOOD_COLUMNS, sqnr_db=9.0)}, "doubtful"),
        ({"columns": replace(GOOD_COLUMNS, sqnr_db=0.0)}, "broken"),
    ],
)  # fmt: skip
def test_accuracy_by_the_worst_sign(changes, accuracy):
    found = verdict(good(**changes))
    assert found.accuracy == accuracy
    assert bool(found.reasons) == (accuracy != "good")
    assert found.missing == ()


def test_a_broken_part_makes_a_doubtful_output_broken():
    lost = replace(GOOD_COLUMNS, sqnr_db=0.0)
    found = verdict(good(sqnr_db=5.7, simulated_sqnr_db=5.7, columns=lost))
    assert found.accuracy == "broken"
    assert found.reasons[0].startswith("columns 4-5, up to 0.9 of output 'y'")
    assert len(found.reasons) == 2


@pytest.mark.parametrize(
    ("output", "accuracy"),
    [
        (OutputProof(equal=0.98), "good"),
        (OutputProof(equal=0.97), "doubtful"),
        (OutputProof(equal=0.4), "broken"),
        (OutputProof(rows_matched=0.9), "good"),
        (OutputProof(rows_matched=0.89), "doubtful"),
        (OutputProof(rows_matched=0.4), "broken"),
    ],
)
def test_integers_and_selected_rows_are_judged_by_how_many_agree(output, accuracy):
    assert verdict(output).accuracy == accuracy


def test_one_bad_output_among_good_ones_is_found():
    proof = verification(outputs={"boxes": good(), "scores": good(sqnr_db=0.0, simulated_sqnr_db=0.0)})
    found = judge(proof, None, Sizes(baseline=4, int8=1))
    assert found.accuracy == "broken"
    assert "output 'scores'" in found.reasons[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"held_out": False}, "calibration samples"),
        ({"runtime": "simulation"}, "simulated"),
        ({"native": False}, "another processor"),
        ({"output": OutputProof()}, "no output holds values"),
    ],
)
def test_without_what_good_takes_it_is_unknown(changes, said):
    found = verdict(**changes)
    assert found.accuracy == "unknown"
    assert said in found.missing[0]
    assert not found.bad


def test_bad_takes_less_than_good():
    bad = good(sqnr_db=-1.0, simulated_sqnr_db=-1.0)
    assert verdict(bad, held_out=False, runtime="simulation").accuracy == "broken"


def test_without_a_proof_nothing_is_claimed():
    found = judge(None, None, Sizes(baseline=4, int8=1))
    assert (found.accuracy, found.speed, found.size) == ("unknown", "unknown", "smaller")
    assert "give --data" in found.missing[0]


def test_another_processors_saturation_says_nothing_of_the_target():
    saturated = good(sqnr_db=7.3, simulated_sqnr_db=42.4, lsb_max=90.0)
    assert verdict(saturated).accuracy == "broken"
    elsewhere = verdict(saturated, native=False)
    assert (elsewhere.accuracy, elsewhere.reasons) == ("unknown", ())
    assert verdict(replace(saturated, simulated_sqnr_db=9.0), native=False).accuracy == "doubtful"


@pytest.mark.parametrize(
    ("measured", "speed"),
    [
        (latency(4, 2), "faster"),
        (latency(4, 3.9), "same"),
        (latency(4, 4.1), "same"),
        (latency(12.34, 13.13), "slower"),
        (latency(4, 5, best=3.9), "same"),  # slower in the median alone
        (latency(4, 5, native=False), "unknown"),
        (None, "unknown"),
    ],
)
def test_speed_takes_the_median_and_the_fastest_call(measured, speed):
    assert judge(None, measured, Sizes(baseline=4, int8=1)).speed == speed


@pytest.mark.parametrize(
    ("int8", "size"), [(250, "smaller"), (995, "same"), (1005, "same"), (1260, "larger")]
)
def test_size(int8, size):
    assert judge(None, None, Sizes(baseline=1000, int8=int8)).size == size


def test_changes_are_said_the_way_they_go():
    assert speed_change(1.53) == "1.53× as fast"
    assert speed_change(12.34 / 13.13) == "1.06× slower"
    assert size_change(Sizes(baseline=1000, int8=263)) == "3.8× smaller"
    assert size_change(Sizes(baseline=1000, int8=960)) == "4 % smaller"
    assert size_change(Sizes(baseline=1000, int8=1260)) == "26 % larger"
    assert size_change(Sizes(baseline=1000, int8=2400)) == "2.4× as large"
    assert size_change(Sizes(baseline=1000, int8=1000)) == "as large"


def test_the_headline_begins_with_what_is_bad():
    lost = verification(good(sqnr_db=-12.3, simulated_sqnr_db=-12.3))
    worst = report(verification=lost, latency=latency(12.34, 13.13), sizes=Sizes(baseline=100, int8=126))
    assert headline(worst) == (
        "The int8 model is BROKEN (output 'y': -12.3 dB from float, where one number throughout has 0.0 dB), "
        "1.06× slower than float on onnxruntime and 26 % larger, with 75.0% of the multiply-adds in int8."
    )
    quick = report(verification=lost, latency=latency(1.4, 1.0), sizes=Sizes(baseline=380, int8=100))
    assert headline(quick).startswith("The int8 model is BROKEN")
    assert headline(quick).endswith(
        "; it is 1.40× as fast as float on onnxruntime and 3.8× smaller, with 75.0% of the multiply-adds in int8."
    )
    unknown = report(verification=None, latency=None)
    assert headline(unknown) == (
        "The int8 model is 4.0× smaller, with 75.0% of the multiply-adds in int8. Its accuracy is "
        "unknown: the outputs were not compared with the float "
        "model's (give --data, and leave out --no-verify). Its speed was not measured."
    )
    fine = report(verification=verification(top1_agreement=1.0, sqnr_db=30.0))
    assert headline(fine).startswith(
        "The int8 model is close to float on 16 held-out samples (SQNR 30.0 dB, same top-1 on 100.0%), 2.00× as fast"
    )
