"""The light's rule, condition by condition."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.proof.build import report
from tinyint.proof.coverage import Coverage
from tinyint.proof.light import ADVICE, ENOUGH_INT8, GOOD_COSINE, RULES, light
from tinyint.proof.verdict import Verdict
from tinyint.proof.verify import Cosine

FINE = Verdict(accuracy="good", speed="faster", size="smaller")
WHOLE = Coverage(measured=True, macs_int8=0.9, macs_planned=1.0, nodes_int8=5, nodes_float=0, float_nodes=())
PLANNED = "the share of multiply-adds in int8 is planned, and was not read back from the runtime"
FAR = "the sample farthest from float has a cosine of 0.91 to it, less than 0.95"
NEAR = Cosine(min=0.95, mean=0.99)


def test_green_at_the_limits():
    assert light(FINE, WHOLE, NEAR).colour == "green"
    assert light(FINE, WHOLE, None).reasons == ()
    assert light(replace(FINE, size="same"), WHOLE, NEAR).colour == "green"


@pytest.mark.parametrize(
    ("verdict", "coverage", "cosine", "colour", "reason"),
    [
        ({"accuracy": "broken"}, {}, 1.0, "red", "the accuracy is broken"),
        ({"speed": "slower"}, {}, 1.0, "red", "int8 is slower than float"),
        ({"accuracy": "doubtful"}, {}, 1.0, "yellow", "the accuracy is doubtful"),
        ({"accuracy": "unknown"}, {}, 1.0, "yellow", "the accuracy is unknown"),
        ({"speed": "same"}, {}, 1.0, "yellow", "int8 is only as fast as float"),
        ({"speed": "unknown"}, {}, 1.0, "yellow", "the speed is unknown"),
        ({"size": "larger"}, {}, 1.0, "yellow", "the file is larger than the float model's"),
        ({}, {"macs_int8": 0.899}, 1.0, "yellow", "89.9% of the multiply-adds run in int8, less than 90%"),
        ({}, {"macs_int8": None}, 1.0, "yellow", "the share of multiply-adds in int8 is unknown"),
        ({}, {"measured": False}, 1.0, "yellow", PLANNED),
        ({}, {}, 0.9072, "yellow", FAR),
    ],
)  # fmt: skip
def test_one_shortcoming(verdict, coverage, cosine, colour, reason):
    found = light(replace(FINE, **verdict), replace(WHOLE, **coverage), Cosine(min=cosine, mean=1.0))
    assert (found.colour, found.reasons) == (colour, (reason,))


def test_the_gravest_comes_first():
    found = light(replace(FINE, accuracy="doubtful", speed="slower"), WHOLE, None)
    assert found.colour == "red"
    assert found.reasons == ("int8 is slower than float", "the accuracy is doubtful")


def test_the_rule_as_stated_names_the_limits():
    assert f"{ENOUGH_INT8:.0%}".replace("%", " %") in RULES["green"]
    assert str(GOOD_COSINE) in RULES["green"]
    assert list(RULES) == ["green", "yellow", "red"]


def test_the_report_has_the_light_in_its_document():
    made = report()
    assert made.light.colour == "yellow"
    assert made.to_json()["light"] == {"colour": "yellow", "reasons": list(made.light.reasons)}


def test_the_chapter_states_the_same_rule():
    chapter = Path(__file__).parents[2] / "docs" / "reading-the-report.md"
    text = chapter.read_text(encoding="utf-8")
    for colour, rule in RULES.items():
        assert f"| **{colour}**: {ADVICE[colour]} | {rule}" in text
