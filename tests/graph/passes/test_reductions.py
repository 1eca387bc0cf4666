from __future__ import annotations

import numpy as np
import pytest

from tests.graph.build import build, run
from tests.graph.prepared import check
from tinyint.graph.prepare import prepare

SUM = ["ReduceMax", "Sub", "Exp", "ReduceSum", "Log", "Add"]
FORMS = [
    ("ReduceL1", 1, ["Abs", "ReduceSum"]),
    ("ReduceL1", 0, ["Abs", "ReduceSum"]),
    ("ReduceLogSum", 1, ["ReduceSum", "Log"]),
    ("ReduceLogSum", 0, ["ReduceSum", "Log"]),
    ("ReduceLogSumExp", 1, SUM),
    ("ReduceLogSumExp", 0, [*SUM, "Squeeze"]),
]


def reduced(op: str, keep: int, opset: int, axes: str = "axes=[1,-1],"):
    shape = ("[2,1,4,1]" if keep else "[2,4]") if axes else "[1,1,1,1]"
    before = "s = Exp(x)" if op == "ReduceLogSum" else "s = Neg(x)"
    return build(
        f"g (float[2,3,4,5] x) => (float{shape} y) {{ {before} y = {op}<{axes}keepdims={keep}>(s) }}", opset
    )


@pytest.mark.parametrize("opset", [11, 13, 17])
@pytest.mark.parametrize(("op", "keep", "operators"), FORMS)
def test_reductions_with_axes_are_written_out(op: str, keep: int, operators: list[str], opset: int) -> None:
    check(reduced(op, keep, opset), ["Exp" if op == "ReduceLogSum" else "Neg", *operators])


def test_those_over_all_axes_and_of_other_operators_stay() -> None:
    check(reduced("ReduceLogSumExp", 1, 17, ""), ["Neg", "ReduceLogSumExp"])
    check(reduced("ReduceL2", 0, 17), ["Neg", "ReduceL2"])


def test_large_numbers_do_not_overflow() -> None:
    model = build("g (float[1,2] x) => (float[1,1] y) { y = ReduceLogSumExp<axes=[1]>(x) }")
    (found,) = run(prepare(model), {"x": np.float32([[1000, 1000]])})
    assert found[0, 0] == pytest.approx(1000 + np.log(2))


def test_bodies_are_rewritten_too() -> None:
    text = """g (float[2,3,4] x) => (float[2,3,1] y) {
        y = Scan<num_scan_inputs=1, body = b (float[3,4] i) => (float[3,1] o) { o = ReduceL1<axes=[1]>(i) }>(x) }"""
    prepared = check(build(text), ["Scan"])
    assert [n.op_type for n in prepared.graph.all_nodes() if n.graph is not prepared.graph] == [
        "Abs",
        "ReduceSum",
    ]
