"""The repair steps that a recipe may ask for."""

from __future__ import annotations

from tinyint.errors import nearest

__all__ = ["STEPS", "require_step"]

STEPS = ("equalize", "absorb_bias")
"""In the order in which they are applied. Each is a file of `tinyint.repair`, of which `STEP` is what it defines."""


def require_step(name: str) -> str:
    """The name. Raises ValueError for one that no step has."""
    if name not in STEPS:
        raise ValueError(f"expected a repair step; {nearest(name, STEPS)}")
    return name
