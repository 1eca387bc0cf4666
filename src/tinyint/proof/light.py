"""Traffic light over a proof: ship it, look first, or leave it.

Its rule stands in `RULES`, word for word as the report states it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tinyint.proof.coverage import Coverage
from tinyint.proof.verdict import Verdict
from tinyint.proof.verify import Cosine

__all__ = ["ADVICE", "ENOUGH_INT8", "RULES", "Colour", "Light", "light"]

Colour: TypeAlias = Literal["green", "yellow", "red"]

# A row with this cosine is 10 dB from float, as the worst columns of a good output may be.
GOOD_COSINE = 0.95
ENOUGH_INT8 = 0.9

RULES: Mapping[Colour, str] = {
    "green": "the accuracy is good and no sample is below a cosine of 0.95 to float, int8 is faster, the file is not "
    "larger, and at least 90 % of the multiply-adds run in int8, as read back from the runtime",
    "yellow": "nothing is broken or slower, but something of this is doubtful, unknown or not reached",
    "red": "the accuracy is broken, or int8 is slower than float",
}

ADVICE: Mapping[Colour, str] = {
    "green": "ship it",
    "yellow": "look before you ship it",
    "red": "do not ship it",
}


@dataclass(frozen=True, kw_only=True)
class Light:
    """`reasons`: why it is not green, the gravest first."""

    colour: Colour
    reasons: tuple[str, ...] = ()


def light(verdict: Verdict, coverage: Coverage, cosine: Cosine | None) -> Light:
    """Light by the rule; `cosine` is None where no output has rows to compare."""
    grave = tuple(_grave(verdict))
    reasons = (*grave, *_short(verdict, coverage, cosine))
    return Light(colour="red" if grave else "yellow" if reasons else "green", reasons=reasons)


def _grave(verdict: Verdict) -> Iterator[str]:
    if verdict.accuracy == "broken":
        yield "the accuracy is broken"
    if verdict.speed == "slower":
        yield "int8 is slower than float"


def _short(verdict: Verdict, coverage: Coverage, cosine: Cosine | None) -> Iterator[str]:
    """What keeps the light from green, though it is not grave."""
    if verdict.accuracy in ("doubtful", "unknown"):
        yield f"the accuracy is {verdict.accuracy}"
    if cosine is not None and cosine.min < GOOD_COSINE:
        yield f"the sample farthest from float has a cosine of {cosine.min:.2f} to it, less than {GOOD_COSINE}"
    if verdict.speed == "same":
        yield "int8 is only as fast as float"
    elif verdict.speed == "unknown":
        yield "the speed is unknown"
    if verdict.size == "larger":
        yield "the file is larger than the float model's"
    share = coverage.macs_int8
    if share is None:
        yield "the share of multiply-adds in int8 is unknown"
    elif share < ENOUGH_INT8:
        yield f"{share:.1%} of the multiply-adds run in int8, less than {ENOUGH_INT8:.0%}"
    elif not coverage.measured:
        yield "the share of multiply-adds in int8 is planned, and was not read back from the runtime"
