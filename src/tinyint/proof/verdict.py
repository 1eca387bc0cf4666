"""Verdict on a quantization, by rule; thresholds: docs/reading-the-report.md.

* accuracy: broken and doubtful are found by any one sign; good takes samples that calibration has not seen, run on the
  target's own runtime and processor. What is neither is unknown, and it is said what is missing.
* speed: faster or slower where the median and the fastest call agree on it by more than 3 %; unknown elsewhere than on
  a processor that the target is for.
* size: smaller or larger by more than 1 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tinyint.proof.measured import Latency, Sizes
from tinyint.proof.verify import OutputProof, Verification

__all__ = ["Accuracy", "Size", "Speed", "Verdict", "judge", "shortfalls", "speed_of"]

Accuracy = Literal["good", "doubtful", "broken", "unknown"]
Speed = Literal["faster", "same", "slower", "unknown"]
Size = Literal["smaller", "same", "larger"]

GOOD_DB = 20.0
GOOD_COLUMNS_DB = 10.0
GOOD_AGREEMENT = 0.98
GOOD_ROWS = 0.9
BROKEN_AGREEMENT = 0.5
# Rounding ties that fall otherwise move outputs by some LSB, towards float as often as away from it. A kernel that
# saturates or is wrong adds noise of its own; 1 dB is a quarter more than quantization makes.
TOLERATED_DB, TOLERATED_LSB = 1.0, 1.0
_SAME_SPEED, _SAME_SIZE = 0.03, 0.01

Sign = tuple[Literal["doubtful", "broken"], str]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`reasons`: faults of the accuracy; `missing`: why it is unknown."""

    accuracy: Accuracy
    speed: Speed
    size: Size
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def bad(self) -> bool:
        """Whether any part is bad; unknown parts are not."""
        return self.accuracy in ("doubtful", "broken") or self.speed == "slower" or self.size == "larger"


def judge(verification: Verification | None, latency: Latency | None, sizes: Sizes) -> Verdict:
    """Verdict on the measurements.

    `verification` and `latency` are None where there was nothing to measure on.
    """
    native = latency is None or latency.native
    signs = [] if verification is None else list(_signs(verification, native))
    missing = tuple(_missing(verification, native))
    accuracy: Accuracy = "unknown" if missing else "good"
    if signs:
        accuracy = "broken" if any(level == "broken" for level, _ in signs) else "doubtful"
    signs.sort(key=lambda sign: sign[0])  # "broken" comes first, and in the order of the outputs otherwise
    return Verdict(
        accuracy=accuracy,
        speed="unknown" if latency is None else speed_of(latency),
        size=_size_of(sizes),
        reasons=tuple(sentence for _, sentence in signs),
        missing=missing if accuracy == "unknown" else (),
    )


def speed_of(latency: Latency) -> Speed:
    if not latency.native:
        return "unknown"
    ratios = latency.speedup, latency.speedup_at_best
    if min(ratios) > 1 + _SAME_SPEED:
        return "faster"
    return "slower" if max(ratios) < 1 / (1 + _SAME_SPEED) else "same"


def _size_of(sizes: Sizes) -> Size:
    if abs(sizes.int8 - sizes.baseline) <= _SAME_SIZE * sizes.baseline:
        return "same"
    return "smaller" if sizes.int8 < sizes.baseline else "larger"


def _missing(proof: Verification | None, native: bool) -> Iterator[str]:
    if proof is None:
        yield "the outputs were not compared with the float model's (give --data, and leave out --no-verify)"
        return
    if not any(output.judged for output in proof.outputs.values()):
        yield "no output holds values that can be compared"
    if not proof.held_out:
        yield "it was compared on the calibration samples, not on held-out ones"
    if proof.runtime == "simulation":
        yield "it was simulated, and did not run on its own runtime"
    elif not native:
        yield "it ran on another processor than its target is for"


def _signs(proof: Verification, native: bool) -> Iterator[Sign]:
    for name, output in proof.outputs.items():
        short = _shortfall(name, output, proof.runtime)
        if short is None or native:
            yield from _distance(name, output, output.sqnr_db)
            yield from _agreement(name, output)
        else:  # the kernels of another processor: what they compute says nothing of the target's
            yield from _distance(name, output, output.simulated_sqnr_db)
        if short is not None and native:
            yield "broken", short


def shortfalls(proof: Verification) -> Iterator[str]:
    """Excess error of the runtime over the simulation, per output.

    Where it is too much.
    """
    for name, output in proof.outputs.items():
        short = _shortfall(name, output, proof.runtime)
        if short is not None:
            yield short


def _distance(name: str, output: OutputProof, sqnr_db: float | None) -> Iterator[Sign]:
    if sqnr_db is None or output.constant_db is None:
        return
    whole = _near(f"output {name!r}", sqnr_db, output.constant_db, GOOD_DB)
    if whole is not None:
        yield whole
    columns = output.columns
    if columns is not None:
        where = f"{columns} of output {name!r}"
        part = _near(where, columns.sqnr_db, columns.constant_db, GOOD_COLUMNS_DB)
        if part is not None:
            yield part


def _near(what: str, sqnr_db: float, constant_db: float, good_db: float) -> Sign | None:
    if sqnr_db >= good_db:
        return None
    useless = (
        constant_db if math.isfinite(constant_db) else 0.0
    )  # of an output that is one number, 0 dB: zeros
    if sqnr_db <= useless:
        return (
            "broken",
            f"{what}: {sqnr_db:.1f} dB from float, where one number throughout has {useless:.1f} dB",
        )
    return "doubtful", f"{what}: {sqnr_db:.1f} dB from float, less than {good_db:.0f} dB"


def _agreement(name: str, output: OutputProof) -> Iterator[Sign]:
    differing = round((1 - (output.top1_agreement or 0.0)) * output.classified)
    if differing > 1:  # one row may be a tie
        yield from _share(
            output.top1_agreement, GOOD_AGREEMENT, f"rows of output {name!r} have float's highest class"
        )
    yield from _share(output.equal, GOOD_AGREEMENT, f"elements of output {name!r} are as in float")
    yield from _share(output.rows_matched, GOOD_ROWS, f"rows that output {name!r} selects are among float's")


def _share(share: float | None, good: float, of_what: str) -> Iterator[Sign]:
    if share is not None and share < good:
        yield "broken" if share < BROKEN_AGREEMENT else "doubtful", f"{share:.1%} of the {of_what}"


def _shortfall(name: str, output: OutputProof, runtime: str) -> str | None:
    real, simulated, lsb = output.sqnr_db, output.simulated_sqnr_db, output.lsb_max or 0.0
    if real is None or simulated is None or real >= simulated - TOLERATED_DB or lsb <= TOLERATED_LSB:
        return None
    return (
        f"output {name!r} is {real:.1f} dB from float on {runtime}, although {simulated:.1f} dB were simulated, and "
        f"up to {lsb:.0f} LSB away from the simulation"
    )
