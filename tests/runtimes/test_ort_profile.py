"""Times by node out of ONNX Runtime's events, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tinyint.runtimes.base import Executed, LayerTime
from tinyint.runtimes.ort_profile import layers


def run(start: int, duration: int) -> dict[str, Any]:
    return {"cat": "Session", "name": "model_run", "ts": start, "dur": duration, "args": {}}


def node(name: str, start: int, duration: int, **types: Any) -> dict[str, Any]:
    args = {"op_name": name.title(), "node_index": "1"} | types
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": start, "dur": duration, "args": args}


def executed(name: str, int8: bool) -> Executed:
    return Executed(name=name, op="QLinearConv", int8=int8, detail="d", sources=(name,))


def test_the_median_of_the_runs_after_the_warm_up() -> None:
    events = [node("c", 10, 900), node("d", 920, 50), run(0, 1000)]
    for start, duration in ((2000, 5000), (12000, 1000), (22000, 3000)):
        events += [node("c", start, duration), node("d", start + duration, 7), run(start - 1, duration + 9)]
    events.append({"cat": "Node", "name": "c_fence_before", "ts": 2001, "dur": 1, "args": {}})
    assert layers(events, [("c", executed("conv", True))], warmup=1) == [
        LayerTime(name="conv", op="QLinearConv", precision="int8", detail="d", ms=3.0, sources=("conv",)),
        LayerTime(name="d", op="D", precision="", detail="D", ms=0.007),
    ]


def test_nodes_in_the_bodies_of_others_are_part_of_them() -> None:
    events = [
        run(0, 100),
        node("body", 12, 3),
        node("loop", 10, 20),
        node("body", 20, 3),
        node("after", 30, 5),
    ]
    events += [node("body", 50, 2), node("if", 50, 9)]
    found = [(row.name, row.ms) for row in layers(events, [], warmup=0)]
    assert found == [("loop", 0.02), ("after", 0.005), ("if", 0.009)]


def test_nodes_without_a_name_are_those_of_their_operator_in_order() -> None:
    events = [node("", 10, 1, op_name="A", node_index="3"), node("", 20, 2, op_name="B", node_index="4")]
    events += [node("", 30, 3, op_name="A", node_index="9"), run(0, 99)]
    rows = [("A", executed("first", True)), ("A", executed("second", False)), ("B", executed("other", True))]
    assert [(row.name, row.ms) for row in layers(events, rows, warmup=0)] == [
        ("first", 0.001),
        ("other", 0.002),
        ("second", 0.003),
    ]


@pytest.mark.parametrize(
    ("inputs", "outputs", "precision"),
    [
        (["float"], ["float"], "float32"),
        (["float"], ["uint8"], "float32"),  # a quantizer
        (["uint8"], ["float"], "float32"),
        (["float16"], ["float16"], "float16"),
        (["uint8"], ["uint8"], "uint8"),
        (["int64"], ["int32"], "int32"),
        ([], [], ""),
    ],
)
def test_types_of_what_is_not_int8(inputs: list[str], outputs: list[str], precision: str) -> None:
    types = {
        "input_type_shape": [{name: [1]} for name in inputs],
        "output_type_shape": [{name: [1]} for name in outputs],
    }
    (row,) = layers([run(0, 9), node("n", 1, 2, **types)], [("n", executed("n", False))], warmup=0)
    assert row.precision == precision
