from __future__ import annotations

import pytest

from tests.graph.build import build
from tests.graph.prepared import check
from tinyint.graph.walk import static_shape


@pytest.mark.parametrize(
    ("x", "weight", "left", "operators"),
    [
        ("[2,5,3,4]", (1, 1, 4, 6), (4, 6), ["MatMul"]),
        ("[N,5,H,4]", (1, 4, 6), (4, 6), ["MatMul"]),
        ("[2,3,4]", (1, 4, 1), (4, 1), ["MatMul"]),
        ("[3,4]", (1, 1, 4, 6), (4, 6), ["MatMul", "Unsqueeze"]),
        ("[2,3,4]", (1, 1, 4, 6), (4, 6), ["MatMul", "Unsqueeze"]),
        ("[4]", (1, 1, 4, 6), (4, 6), ["MatMul", "Unsqueeze"]),
        ("[2,3,4]", (2, 4, 6), (2, 4, 6), ["MatMul"]),
        ("[2,3,4]", (4, 6), (4, 6), ["MatMul"]),
    ],
)
def test_leading_axes_of_one_are_dropped(
    x: str, weight: tuple[int, ...], left: tuple[int, ...], operators: list[str]
) -> None:
    rank = max(x.count(",") + 1, len(weight)) - (x == "[4]")
    text = f"g (float{x} x) => (float[{','.join('abcd'[:rank])}] y) {{ y = MatMul(x, w) }}"
    prepared = check(build(text, w=weight), operators)
    assert static_shape(next(iter(prepared.graph)).inputs[1]) == left
