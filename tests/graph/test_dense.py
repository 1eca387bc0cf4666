from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from tests.graph.build import build
from tinyint.errors import ModelError
from tinyint.graph.message import read_message

VALUES = np.array([5, 7], np.float32)


def sparse(indices: list[int] | list[list[int]], dims: list[int], name: str = "w") -> onnx.SparseTensorProto:
    where = numpy_helper.from_array(np.array(indices, np.int64), "where")
    return helper.make_sparse_tensor(numpy_helper.from_array(VALUES, name), where, dims)


def message(tensor: onnx.SparseTensorProto | None) -> onnx.ModelProto:
    proto = ir.to_proto(build("g (float[N,2] x) => (float[N,3] y) { y = MatMul (x, w) }", w=(2, 3)))
    if tensor is not None:
        del proto.graph.initializer[:]
        proto.graph.sparse_initializer.append(tensor)
    return proto


@pytest.mark.parametrize("indices", [[1, 5], [[0, 1], [1, 2]]])
def test_sparse_initializers_become_dense(indices: list[int] | list[list[int]]) -> None:
    model = read_message(message(sparse(indices, [2, 3])), "m")
    weight = model.graph.initializers["w"].const_value
    assert weight is not None
    assert weight.numpy().tolist() == [[0, 5, 0], [0, 0, 7]]


def test_sparse_values_of_constant_nodes_become_dense_in_bodies_too() -> None:
    constant = helper.make_node("Constant", [], ["w"], sparse_value=sparse([1, 5], [2, 3]))
    product = helper.make_node("MatMul", ["x", "w"], ["t"])
    outputs = [helper.make_tensor_value_info("t", 1, ["N", 3])]
    body = helper.make_graph([constant, product], "body", [], outputs)
    proto = message(None)
    proto.graph.node[0].CopyFrom(helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body))
    proto.graph.input.append(helper.make_tensor_value_info("c", 9, []))
    (branch,) = read_message(proto, "m").graph
    first = next(iter(branch.attributes["then_branch"].as_graph()))
    assert first.attributes["value"].as_tensor().numpy().tolist() == [[0, 5, 0], [0, 0, 7]]


@pytest.mark.parametrize(
    ("indices", "dims"),
    [
        ([1, 6], [2, 3]),
        ([-1, 2], [2, 3]),
        ([[0, 1], [2, 0]], [2, 3]),
        ([1], [2, 3]),
        ([0, 1], [2**20, 2**20]),
        ([0, 1], [-2, -3]),
    ],
)
def test_what_cannot_be_made_dense_is_named(indices: list[int] | list[list[int]], dims: list[int]) -> None:
    with pytest.raises(ModelError, match="sparse tensor 'w' of m"):
        read_message(message(sparse(indices, dims)), "m")
