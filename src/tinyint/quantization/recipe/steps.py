"""The repair steps that a recipe may ask for."""

from __future__ import annotations

from tinyint.errors import nearest

__all__ = ["STEPS", "require_step"]

STEPS = ("equalize", "absorb_bias", "gptq", "correct_bias")
"""Steps in order of application, each a file of `tinyint.quantization.repair` that defines `STEP`."""


def require_step(name: str) -> str:
    """The name. Raises ValueError for one that no step has."""
    if name not in STEPS:
        raise ValueError(f"expected a repair step; {nearest(name, STEPS)}")
    return name
