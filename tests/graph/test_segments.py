import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tinyint.errors import ModelError
from tinyint.graph.segments import cut
from tinyint.runtimes import get_runtime

TEXT = """net (float[2,3] x, bool b) => (float[2,3] y, float[2,3] z)
{ a = Relu (x) c = Neg (a) d = Add (a, c) y = Add (d, w) z = Mul (d, a) }"""


def test_they_give_the_outputs_of_the_graph_one_after_the_other():
    model = build(TEXT, w=np.array([1.0, 2.0, 3.0], np.float32))
    nodes = list(model.graph)
    segments = cut(model, [tuple(nodes[:1]), tuple(nodes[1:3]), tuple(nodes[3:])])
    assert [(s.reads, s.gives, s.last_read) for s in segments] == [
        (("x",), ("a",), {"x"}),
        (("a",), ("d",), set()),
        (("a", "d"), ("y", "z"), {"a", "d"}),
    ]
    tensors = {"x": np.arange(-3, 3, dtype=np.float32).reshape(2, 3)}
    whole = get_runtime("onnxruntime").open(model).run({**tensors, "b": np.array(True)})
    for segment in segments:
        session = get_runtime("onnxruntime").open(segment.model(model, tensors))
        tensors |= session.run({name: tensors[name] for name in segment.reads})
    for name, expected in whole.items():
        np.testing.assert_array_equal(tensors[name], expected)


def test_a_body_reads_for_its_node_and_open_types_are_those_of_the_tensors():
    model = build(
        "net (float[2] x, bool b) => (float[2] y) "
        "{ a = Neg (x) c = Neg (a) y = If (b) <then_branch = t () => (float[2] p) { p = Neg (a) }, "
        "else_branch = e () => (float[2] q) { q = Neg (c) }> }"
    )
    nodes = list(model.graph)
    first, last = cut(model, [tuple(nodes[:2]), tuple(nodes[2:])])
    assert first.gives == ("a", "c")
    assert last.reads == ("a", "b", "c")
    for value in model.graph.inputs:
        value.type = value.shape = None
    feeds = {"a": np.ones(2, np.float32), "b": np.array(False), "c": np.full(2, 5, np.float32)}
    session = get_runtime("onnxruntime").open(last.model(model, feeds))
    np.testing.assert_array_equal(session.run(feeds)["y"], [-5, -5])


def test_a_sequence_does_not_pass():
    model = build(
        "net (float[2] x) => (float[2] y) { s = SequenceConstruct (x) y = SequenceAt (s, i) }", i=np.int64(0)
    )
    nodes = list(model.graph)
    nodes[0].outputs[0].type = ir.SequenceType(model.graph.inputs[0].type)
    with pytest.raises(ModelError, match="'s' is a sequence"):
        cut(model, [tuple(nodes[:1]), tuple(nodes[1:])])
