"""Exact sums of floating point numbers: any order or split gives the same bits.

A sum is an integer multiple of 2^-149, the smallest float32, written in digits of 32 bits: a superaccumulator (Kulisch
2011, Computer Arithmetic and Validity). Of the digits, arrays of the sum's shape, only those that were reached are
kept: two to four for numbers of like size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from tinyint.numbers.numerics import Array

__all__ = ["ExactSum"]

_BASE = 32
_UNIT = -149
_PLACES = 14
"""Digits: for terms up to 2^254, and 2^24 of each sign, which the digits take before they carry."""


class ExactSum:
    """Exact sum of arrays of one shape.

    Digits, by place, are int64 and carried into [-2^31, 2^31) when they are read.
    """

    def __init__(self) -> None:
        self._digits: dict[int, Array] = {}

    @classmethod
    def from_digits(cls, places: Iterable[int], digits: Array) -> ExactSum:
        """Sum with these `digits`, one row per place.

        Raises ValueError for digits that `digits()` never gives.
        """
        made = cls()
        made._digits = {int(place): digit for place, digit in zip(places, digits, strict=True)}
        if not all(0 <= place < _PLACES + 2 for place in made._digits):
            raise ValueError(f"digits at the places {list(made._digits)}")
        before = dict(made._digits)
        if before != {} and (
            list(made.digits()) != list(before) or (np.abs(digits) > 2 ** (_BASE - 1)).any()
        ):
            raise ValueError("digits of a sum that are not carried")
        return made

    def add(self, terms: Array) -> None:
        """Adds float64 multiples of 2^-149 below 2^254.

        Float32 numbers times integers below 2^29 are such.
        """
        rest = np.ldexp(terms.astype(np.float64), -_UNIT)
        largest = float(np.abs(rest).max(initial=0.0))
        place = 0 if largest < 1 else min(math.frexp(largest)[1] // _BASE, _PLACES - 1)
        while largest:
            digit = np.trunc(np.ldexp(rest, -_BASE * place))
            if digit.any():
                rest = rest - np.ldexp(digit, _BASE * place)
                self._add(place, digit.astype(np.int64))
                largest = float(np.abs(rest).max())
            place -= 1

    def merge(self, other: ExactSum) -> None:
        for place, digit in other.digits().items():
            self._add(place, digit)

    def _add(self, place: int, digit: Array) -> None:
        known = self._digits.get(place)
        self._digits[place] = digit if known is None else known + digit

    def digits(self) -> dict[int, Array]:
        """Nonzero digits, lowest place first: the only such form of a sum."""
        carried: dict[int, Array] = {}
        carry: Array = np.zeros((), np.int64)
        for place in range(_PLACES + 2):
            digit = carry + self._digits.get(place, 0)
            carry = (digit + 2 ** (_BASE - 1)) >> _BASE
            digit = digit - (carry << _BASE)
            if np.any(digit):
                carried[place] = digit
        self._digits = carried
        return carried

    def value(self) -> Array:
        """The sum, float64, rounded once a digit; zero, of shape (), for nothing."""
        total: Array = np.zeros(())
        for place, digit in self.digits().items():
            total = total + np.ldexp(digit.astype(np.float64), _BASE * place + _UNIT)
        return total

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExactSum):
            return False
        mine, theirs = self.digits(), other.digits()
        return mine.keys() == theirs.keys() and all(np.array_equal(mine[k], theirs[k]) for k in mine)

    __hash__ = None  # type: ignore[assignment]
