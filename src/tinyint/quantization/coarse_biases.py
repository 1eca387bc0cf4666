"""Biases that int8 rounds grossly, beside results that are no larger.

A bias is rounded to the step s_x · s_w of the sums that it is added to. Sums of real inputs reach over many such steps,
beside which that is nothing. Where only zeros meet the weights, as in windows that lie in padding, or values that are
small beside the largest, the bias is all that is left.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from tinyint.graph.flow import range_source, settled
from tinyint.graph.names import name_of
from tinyint.graph.walk import constant_of
from tinyint.numbers.numerics import fake_quantize
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.plan import Plan, Use
from tinyint.quantization.qparams import Assignment

__all__ = ["coarse_biases"]

_STEPS = 255  # of the result's range, one of which is 1 LSB


def coarse_biases(
    model: ir.Model, plan: Plan, record: CalibrationRecord, assignment: Assignment
) -> dict[str, str]:
    """Nodes with such a bias, each with the reason.

    As an integer, it is off by more than 1 LSB of the node's result.
    """
    nodes = {name_of(node): node for node in model.graph}
    found = {}
    for use, (weighted, _) in plan.bias_weights.items():
        lsb = _lsb(nodes[weighted], record)
        off = _rounding(nodes, use, assignment)
        if lsb is not None and off > lsb:
            found[weighted] = (
                f"its bias would be off by {off:.2g}, more than 1/{_STEPS} of its results' range: only sums of small "
                "inputs come out of it, and int8 adds the bias in steps of large ones"
            )
    return found


def _lsb(node: ir.Node, record: CalibrationRecord) -> float | None:
    """1/255 of the range of the node's result; None where it is not known, or zeros alone."""
    summary = record.summaries.get(name_of(range_source(settled(node.outputs[0]))))
    if summary is None or not summary.samples:
        return None
    lo, hi = min(summary.lo, 0.0), max(summary.hi, 0.0)
    return (hi - lo) / _STEPS or None


def _rounding(nodes: Mapping[str, ir.Node], use: Use, assignment: Assignment) -> float:
    """What the worst element of the bias loses in int32."""
    bias = constant_of(nodes[use[0]].inputs[use[1]])
    assert bias is not None
    exact = bias.astype(np.float32)
    rounded = fake_quantize(exact, assignment.constants[use].params)
    return float(np.abs(exact.astype(np.float64) - rounded).max(initial=0.0))
