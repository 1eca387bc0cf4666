"""The data of digits.yaml: 450 digits to train on, 100 others to measure with."""

from collections.abc import Iterator
from typing import Any

from tinyint.extras.demo import demo_data


def train() -> Iterator[tuple[Any, Any]]:
    yield demo_data("test")


def val() -> Iterator[tuple[Any, Any]]:
    yield demo_data("calibration")
