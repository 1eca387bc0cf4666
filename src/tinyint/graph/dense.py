"""Conversion of sparse constants to dense ones.

Few tools read sparse constants, and quantization would not keep what they save.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import onnx

from tinyint.errors import ModelError

__all__ = ["graphs", "make_dense", "tensor_names"]

_LARGEST = 2**31 - 2**24
"""Bytes of a constant; what unpacks to more is no model that was exported."""


def make_dense(proto: onnx.ModelProto, label: str) -> None:
    """Makes sparse constants dense, in place.

    These are sparse initializers and sparse values of Constant nodes, also in bodies and functions. Raises ModelError
    for indices outside the tensor, and for a tensor that is too large for a message.
    """
    for graph in graphs(proto.graph):
        for sparse in graph.sparse_initializer:
            graph.initializer.append(_dense(sparse, sparse.values.name, label))
        graph.ClearField("sparse_initializer")
    function_nodes = [function.node for function in proto.functions]
    for nodes in (*(graph.node for graph in graphs(proto.graph)), *function_nodes):
        for node in nodes:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.SPARSE_TENSOR:
                    dense = _dense(attribute.sparse_tensor, node.output[0] if node.output else "", label)
                    attribute.Clear()
                    attribute.name, attribute.type = "value", onnx.AttributeProto.TENSOR
                    attribute.t.CopyFrom(dense)


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and all its bodies, nested ones included."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs) if attribute.type in _BODIES else ():
                yield from graphs(body)


def tensor_names(graph: onnx.GraphProto) -> set[str]:
    """Names of all tensors, also in bodies."""
    parts = list(graphs(graph))
    sources = {value.name for part in parts for value in (*part.input, *part.initializer)}
    return sources | {name for part in parts for node in part.node for name in node.output}


_BODIES = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


def _dense(sparse: onnx.SparseTensorProto, name: str, label: str) -> onnx.TensorProto:
    dims, description = list(sparse.dims), f"the sparse tensor {name!r} of {label}"
    external = onnx.TensorProto.EXTERNAL
    if external in (sparse.values.data_location, sparse.indices.data_location):
        raise ModelError(f"{description} has its data in another file, which is not read; export it dense")
    try:
        values, indices = (onnx.numpy_helper.to_array(tensor) for tensor in (sparse.values, sparse.indices))
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{description} is damaged ({error}); export it again, or dense") from error
    if min(dims, default=1) < 0 or math.prod(dims) * values.itemsize > _LARGEST:
        raise ModelError(f"{description} has the shape {dims}, which is not one of a tensor of up to 2 GiB")
    if indices.ndim == 2 and indices.shape[1] == len(dims):
        in_range = bool(((indices >= 0) & (indices < dims)).all())
        positions = (
            np.ravel_multi_index(tuple(indices.T), dims) if in_range and dims else np.zeros(0, np.int64)
        )
    else:
        positions, in_range = indices, bool(((indices >= 0) & (indices < math.prod(dims))).all())
    if not in_range or positions.shape != values.shape or values.ndim != 1:
        raise ModelError(
            f"{description} of shape {dims} has values outside of it, or another number of indices"
        )
    array = np.zeros(math.prod(dims), values.dtype)
    array[positions] = values
    return onnx.numpy_helper.from_array(array.reshape(dims), name)
