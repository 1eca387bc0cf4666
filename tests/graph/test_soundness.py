"""Messages that break a rule of ONNX, by one change each to a sound one; and orders that do not matter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.graph.build import build, feeds_of, run
from tinyint import loading
from tinyint.errors import ModelError
from tinyint.graph.io import load_model
from tinyint.graph.prepare import prepare

TEXT = """g (float[2,4] x, bool c) => (float[2,4] y) {
  [fc] h = MatMul (x, w)
  k = Constant <value_float = 2.0> ()
  [act] r = Mul (h, k)
  [branch] y = If (c) <
    then_branch = left () => (float[2,4] t) { [neg] t = Neg (r) },
    else_branch = right () => (float[2,4] e) { [abs] e = Abs (r) }
  >
}"""


def message() -> onnx.ModelProto:
    return ir.to_proto(build(TEXT, w=(4, 4)))


def loaded(proto: onnx.ModelProto, tmp_path: Path) -> ir.Model:
    onnx.save(proto, tmp_path / "m.onnx")
    return load_model(tmp_path / "m.onnx")


def body(proto: onnx.ModelProto) -> onnx.GraphProto:
    return proto.graph.node[3].attribute[0].g


BROKEN: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "a value that is missing": (
        lambda p: p.graph.node[0].input.__setitem__(1, "gone"),
        r"node 'fc' \(MatMul\) reads 'gone', which nothing in the graph makes",
    ),
    "an input that is missing": (lambda p: p.graph.input.pop(0), "node 'fc' .*reads 'x'"),
    "an initializer that is missing": (lambda p: p.graph.initializer.pop(), "node 'fc' .*reads 'w'"),
    "a value missing in a body": (
        lambda p: body(p).node[0].input.__setitem__(0, "gone"),
        "the body 'left' of node 'branch' .*node 'neg' .*reads 'gone'",
    ),
    "an output that nothing makes": (
        lambda p: setattr(p.graph.output[0], "name", "gone"),
        "no node makes its output 'gone'",
    ),
    "a body's output from outside": (
        lambda p: setattr(body(p).output[0], "name", "r"),
        "body 'left' .*no node makes its output 'r'",
    ),
    "a value made twice": (
        lambda p: p.graph.node[2].output.__setitem__(0, "h"),
        r"tensor 'h' is made by node 'act' \(Mul\) and by node 'fc' \(MatMul\)",
    ),
    "an initializer that a node makes": (
        lambda p: p.graph.node[2].output.__setitem__(0, "w"),
        "'w' is made by node 'act' .* and by an input or initializer",
    ),
    "an initializer twice": (
        lambda p: p.graph.initializer.append(p.graph.initializer[0]),
        "initializer 'w' is defined twice",
    ),
    "an input twice": (lambda p: p.graph.input.append(p.graph.input[0]), "input 'x' is defined twice"),
    "an output twice": (lambda p: p.graph.output.append(p.graph.output[0]), "output '.' is defined twice"),
    "a version of 41 bits": (
        lambda p: setattr(p.opset_import[0], "version", 1 << 40),
        "version 1099511627776 of the operators",
    ),
    "a circle": (lambda p: p.graph.node[0].input.__setitem__(0, "r"), "in a circle, node 'fc' among them"),
    "no outputs": (lambda p: p.graph.output.pop(), "it has no outputs"),
    "too few inputs": (lambda p: p.graph.node[0].input.pop(), "node 'fc' .*MatMul"),
    "an input left out": (lambda p: p.graph.node[0].input.__setitem__(1, ""), "node 'fc'"),
    "an attribute without a type": (
        lambda p: p.graph.node[0].attribute.add(name="odd"),
        "attribute 'odd' of node 'fc' .*has no type",
    ),
    "an attribute of another type": (
        lambda p: setattr(body(p).node[0].attribute.add(name="alpha", type=1), "f", 1.0),
        "'neg'.*alpha",
    ),
    "a choice without a condition": (lambda p: p.graph.node[3].input.pop(), "'branch' .*has 0 inputs; expected 1"),
    "a graph in another operator": (
        lambda p: p.graph.node[0].attribute.add().CopyFrom(p.graph.node[3].attribute[0]),
        "'fc' .*has a graph in an attribute",
    ),
    "an attribute that is no text": (
        lambda p: p.graph.node[2].attribute.add(name="mode", type=3, s=b"\xff"),
        "attribute 'mode' of node 'act' .*is no text",
    ),
    "a constant without a type": (
        lambda p: setattr(p.graph.initializer[0], "data_type", 0),
        "initializer 'w' is a tensor without a type",
    ),
    "a constant without a value": (lambda p: p.graph.node[1].attribute.pop(), "the Constant that makes 'k'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_a_rule_is_refused_with_its_place(name: str, tmp_path: Path) -> None:
    change, match = BROKEN[name]
    proto = message()
    change(proto)
    with pytest.raises(ModelError, match=match) as refused:
        loaded(proto, tmp_path)
    assert "m.onnx" in str(refused.value)


def test_nodes_may_come_in_any_order(tmp_path: Path) -> None:
    proto, feeds = message(), feeds_of(build(TEXT, w=(4, 4)))
    expected = run(ir.from_proto(proto), feeds)
    nodes = [proto.graph.node[i] for i in (3, 2, 0, 1)]
    mixed = onnx.ModelProto.FromString(proto.SerializeToString())
    del mixed.graph.node[:]
    mixed.graph.node.extend(nodes)
    in_memory = loading.load(ir.from_proto(mixed))
    for model in (loaded(mixed, tmp_path), in_memory):
        assert [node.op_type for node in model.graph][-1] == "If"
        np.testing.assert_array_equal(run(prepare(model), feeds), expected)


def test_a_model_in_order_is_returned_as_it_is() -> None:
    model = build(TEXT, w=(4, 4))
    assert loading.load(model) is model


def test_onnx_operators_may_name_their_domain(tmp_path: Path) -> None:
    proto = message()
    proto.opset_import[0].domain = "ai.onnx"
    for node in proto.graph.node:
        node.domain = "ai.onnx"
    model = loaded(proto, tmp_path)
    assert model.opset_imports[""] == 17
    assert {node.domain for node in model.graph.all_nodes()} == {""}


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    data = message().SerializeToString()
    for old, new in ((b"\x03act", b"\x03\xff\xfe\xfd"), (b"\x06MatMul", b"\x06\xff\xfe\xfdMul")):
        (tmp_path / "m.onnx").write_bytes(data.replace(old, new))
        with pytest.raises(ModelError, match=r"m\.onnx"):
            load_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("closed", [0, -1])
def test_dimensions_of_0_and_less_are_open(closed: int, tmp_path: Path) -> None:
    proto = ir.to_proto(
        build("g (float[2,3,5,5] x) => (float[2,4,3,3] y) { y = Conv (x, w) }", w=(4, 3, 3, 3))
    )
    for value in (proto.graph.input[0], proto.graph.output[0]):
        for axis in (0, 2, 3):
            value.type.tensor_type.shape.dim[axis].dim_value = closed
    for model in (loaded(proto, tmp_path), loading.load(ir.from_proto(proto))):
        assert [isinstance(dim, int) for dim in model.graph.inputs[0].shape or ()] == [
            False,
            True,
            False,
            False,
        ]
        assert run(prepare(model), {"x": np.ones((3, 3, 8, 8), np.float32)})[0].shape == (3, 4, 6, 6)
