"""`--race`, with seconds or without."""

from __future__ import annotations

import pytest

from tests.processor import ORT_TARGET
from tinyint import api

COMMON = (
    "quantize",
    "float.onnx",
    "-o",
    "o.onnx",
    "--data",
    "calib.npy",
    "--no-verify",
    "--target",
    ORT_TARGET,
)


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ((), None),
        (("--race",), 10.0),
        (("--race", "0.5"), 0.5),
        (("--race=2",), 2.0),
        (("--race", "--strict"), 10.0),
    ],
)
def test_seconds_may_be_left_out(here, run, words, seconds, monkeypatch):
    taken = []

    def quantize(*_, run, **__):
        taken.append(run.race)
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "quantize", quantize)
    run(*COMMON, *words)
    run(COMMON[0], *words, *COMMON[1:])
    assert taken == [seconds] * 2


def test_the_table_stands_below_that_of_the_proof(here, run, document):
    told = run(*COMMON, "--race", "0.05", "--threads", "1").stdout
    assert "placements: 0." in told
    assert "as planned" in told
    assert "chosen" in told
    found = document(*COMMON, "--race", "0.05", "--threads", "1")["race"]
    assert found["remembered"]
    assert found["candidates"][0]["name"] == "as planned"


def test_seconds_that_are_none(here, run):
    result = run(*COMMON, "--race", "-1")
    assert result.exit_code == 2
    assert "--race -1 (Run.race): expected a number of seconds above 0" in result.stderr
