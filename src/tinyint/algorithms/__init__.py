"""Repair steps: what makes a float graph easier to quantize, or a quantized one more exact."""

from tinyint.algorithms.steps import Repaired, equalize_graph, repair_float

__all__ = ["Repaired", "equalize_graph", "repair_float"]
