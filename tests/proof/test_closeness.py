"""Which differences from float count, and which are chance."""

from __future__ import annotations

import numpy as np
import pytest

from tests.proof.build import report
from tinyint.proof.closeness import Closeness, shortfalls_beside
from tinyint.proof.verify import OutputProof


def close(*noises: float, signal: float = 1000.0, **figures: object) -> Closeness:
    sqnr = 10 * np.log10(signal / sum(noises)) if noises else None
    outputs = {"y": OutputProof(sqnr_db=sqnr, **figures)}  # type: ignore[arg-type]
    proof = report().verification
    assert proof is not None
    object.__setattr__(proof, "outputs", outputs)
    return Closeness(proof=proof, noises={"y": np.array(noises)})


def test_more_noise_in_every_sample_counts() -> None:
    assert list(shortfalls_beside(close(*[1.3] * 10), close(*[1.0] * 10))) == [
        "output 'y' is 18.9 dB from float, the plan's 20.0 dB"
    ]
    assert not list(shortfalls_beside(close(*[1.2] * 10), close(*[1.0] * 10)))  # 0.8 dB
    assert not list(shortfalls_beside(close(*[0.5] * 10), close(*[1.0] * 10)))


def test_one_sample_that_holds_all_the_noise_is_chance() -> None:
    ours, planned = close(*[1.0] * 9, 30.0), close(*[1.1] * 9, 1.0)
    assert ours.proof.outputs["y"].sqnr_db < planned.proof.outputs["y"].sqnr_db - 5  # type: ignore[operator]
    assert not list(shortfalls_beside(ours, planned))


@pytest.mark.parametrize(
    ("figures", "count"),
    [
        ({"top1_agreement": 0.97, "classified": 1000}, 1),
        ({"top1_agreement": 0.995, "classified": 1000}, 0),
        ({"top1_agreement": 0.97, "classified": 32}, 0),  # one row
        ({"top1_agreement": 0.93, "classified": 32}, 1),
        ({"equal": 0.98}, 1),
        ({"rows_matched": 0.98}, 1),
        ({"rows_matched": 0.995}, 0),
    ],
)
def test_shares(figures: dict[str, float], count: int) -> None:
    whole = {name: value if name == "classified" else 1.0 for name, value in figures.items()}
    assert len(list(shortfalls_beside(close(**figures), close(**whole)))) == count
