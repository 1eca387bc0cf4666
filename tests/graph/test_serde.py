from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from tinyint.graph.io import load_model, save_model
from tinyint.graph.prepare import prepare
from tinyint.graph.source import graph_of
from tinyint.runtimes import get_runtime

MAPS = helper.make_sequence_type_proto(
    helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None))
)


def zip_map(path: Path, opset: int = 17) -> Path:
    """A linear classifier of three classes as skl2onnx writes it: label, and a map of probabilities a row."""
    weight = np.arange(12, dtype=np.float32).reshape(4, 3)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        helper.make_node("Softmax", ["scores"], ["p"]),
        helper.make_node("ZipMap", ["p"], ["maps"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2]),
    ]
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]),
        helper.make_value_info("maps", MAPS),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        outputs,
        [numpy_helper.from_array(weight, "w")],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    return path


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("external", [False, True])
def test_a_map_keeps_its_type_from_file_to_file(tmp_path: Path, opset: int, external: bool) -> None:
    model = prepare(load_model(zip_map(tmp_path / "float.onnx", opset)))
    save_model(model, tmp_path / "again.onnx", external=external)
    again = onnx.load(tmp_path / "again.onnx")
    onnx.checker.check_model(again)
    kept = again.graph.output[1].type.sequence_type.elem_type.map_type
    assert (kept.key_type, kept.value_type.tensor_type.elem_type) == (TensorProto.INT64, TensorProto.FLOAT)
    (row,) = ort.InferenceSession(tmp_path / "again.onnx").run(
        ["maps"], {"x": np.eye(1, 4, dtype=np.float32)}
    )[0]
    assert list(row) == [0, 1, 2]


def test_a_runtime_opens_maps_from_a_file_and_from_memory(tmp_path: Path) -> None:
    path = zip_map(tmp_path / "float.onnx")
    for model in (path, path.read_bytes(), load_model(path)):
        outputs = get_runtime("onnxruntime").open(model).run({"x": np.eye(2, 4, dtype=np.float32)})
        assert [row.keys() for row in outputs["maps"]] == [{0, 1, 2}, {0, 1, 2}]
    assert [value.name for value in graph_of(path).outputs] == ["label", "maps"]
    assert "ZipMap" in {row.op for row in get_runtime("onnxruntime").executed(path)}
