from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.graph.build import build, feeds_of, operators, run
from tests.graph.prepared import KERNEL, check
from tinyint.errors import ModelError
from tinyint.graph.prepare import prepare


def test_local_functions_are_inlined() -> None:
    text = """<ir_version: 8, opset_import: ["": 17, "local": 1]> g (float[2] x) => (float[2] y) { y = local.twice(x) }
    <domain: "local", opset_import: ["": 17]> twice (a) => (b) { b = Add(a,a) }"""
    assert operators(prepare(ir.from_proto(onnx.parser.parse_model(text)))) == ["Add"]


def test_initializers_listed_as_inputs_become_constants() -> None:
    model = build("g (float[N,3] x, float[3,4] w) => (float[N,4] y) { y = MatMul(x,w) }", w=(3, 4))
    prepared = prepare(model)
    assert [v.name for v in prepared.graph.inputs] == ["x"]
    feeds = feeds_of(model)
    np.testing.assert_array_equal(run(prepared, feeds)[0], run(model, feeds)[0])


def test_unused_nodes_and_constants_go_and_shapes_are_inferred() -> None:
    model = build(
        "g (float[N,3] x) => (float[N,4] y) { u = Relu(x) h = MatMul(x,w) y = Relu(h) }", w=(3, 4), v=(9,)
    )
    prepared = check(model, ["MatMul", "Relu"])
    assert set(prepared.graph.initializers) == {"w"}
    assert list(prepared.graph.node(0).outputs[0].shape)[1] == 4


@pytest.mark.parametrize("opset", [12, 17])
def test_branches_stay_and_see_the_values_around_them(opset: int) -> None:
    model = build(
        f"""g (float[N,4,6,6] x, bool flag) => (float[N,4,6,6] y) {{
          k = Identity(w) c = Conv<{KERNEL}>(x,k) i = Identity(c)
          y = If(flag) <then_branch = t () => (float[N,4,6,6] p) {{ j = Identity(i) p = Mul(j,i) }},
                        else_branch = e () => (float[N,4,6,6] q) {{ q = Identity(i) }}> }}""",
        opset, w=(4, 4, 3, 3),
    )  # fmt: skip
    prepared = check(model, ["Conv", "If"])
    assert [n.op_type for n in prepared.graph.node(1).attributes["then_branch"].as_graph()] == [
        "Identity",
        "Mul",
    ]


def control_flow_cases() -> list[Any]:
    """ONNX's own conformance cases of If and Loop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        node = importlib.import_module("onnx.backend.test.case.node")
        for module in ("if_", "loop"):
            importlib.import_module(f"onnx.backend.test.case.node.{module}")
    cases = [case for case in node._NodeTestCases if case.name.startswith(("test_if", "test_loop"))]
    assert len(cases) >= 6
    return [pytest.param(case, id=case.name) for case in cases]


@pytest.mark.parametrize("case", control_flow_cases())
def test_control_flow_of_the_standard_gives_the_same(case: Any) -> None:
    model = ir.from_proto(case.model)
    inputs, expected = case.data_sets[0]
    feeds = {value.name: array for value, array in zip(case.model.graph.input, inputs, strict=True)}
    feeds = {name: np.asarray(array) if np.isscalar(array) else array for name, array in feeds.items()}
    outputs = run(prepare(model), feeds)
    for got, want in zip(outputs, expected, strict=True):
        np.testing.assert_equal(got, want)


def test_an_operator_that_is_given_what_it_cannot_take_is_a_model_error():
    model = build("g (float[1,4,6,6] x) => (y) { y = DeformConv (x, w) }", w=(4, 4, 1, 1))
    with pytest.raises(ModelError, match="the model 'g' cannot be brought into the form that is quantized"):
        prepare(model)
