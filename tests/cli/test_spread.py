from __future__ import annotations

import inspect
from dataclasses import dataclass

from tinyint.cli.spread import spread


@dataclass(frozen=True, kw_only=True)
class Size:
    width: int = 3
    height: int | None = None


def test_a_group_is_spread_where_it_stands_and_put_together_again() -> None:
    seen: list[tuple[str, Size, bool]] = []

    @spread
    def draw(name: str, *, size: Size, filled: bool = False) -> None:
        """Draws."""
        seen.append((name, size, filled))

    shown = inspect.signature(draw).parameters
    assert [(p.name, p.default) for p in shown.values()] == [
        ("name", inspect.Parameter.empty),
        ("width", 3),
        ("height", None),
        ("filled", False),
    ]
    assert (draw.__doc__, shown["height"].annotation) == ("Draws.", int | None)
    draw(name="a", width=5, height=None, filled=True)
    assert seen == [("a", Size(width=5), True)]
