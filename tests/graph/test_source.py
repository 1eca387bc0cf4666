from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runtimes.graphs import Graph
from tinyint.graph.source import graph_of, loadable, metadata
from tinyint.runtimes.ort import RUNTIME

TEXT = {"tinyint.method": "weight_only", "note": "zürich " * 50, "empty": ""}


def network(values: np.ndarray | None = None, **more: str) -> bytes:
    g = Graph(2, 3)
    weight = g.constant("w", np.eye(3, dtype=np.float32) if values is None else values)
    return g.model(g.add("MatMul", ["x", weight], "dense"), metadata={**TEXT, **more})


def test_metadata_is_the_same_for_path_bytes_and_graph(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(network())
    assert metadata(path) == metadata(str(path)) == metadata(network()) == metadata(ir.load(path)) == TEXT


@given(st.binary(max_size=200))
def test_metadata_of_anything_else_is_empty_or_read(content: bytes) -> None:
    assert isinstance(metadata(content), dict)


@given(st.integers(0, 400))
def test_metadata_of_a_truncated_file_is_no_error(length: int) -> None:
    assert set(metadata(network()[:length])) <= set(TEXT)


def test_metadata_of_a_missing_file_is_empty(tmp_path: Path) -> None:
    assert metadata(tmp_path / "none.onnx") == {}


def test_metadata_does_not_read_the_weights(tmp_path: Path) -> None:
    """A file of 3 GB that holds nothing where its graph should be: reading it would take seconds and the memory."""
    path = tmp_path / "large.onnx"
    size = 3 * 2**30
    length = bytes(
        ((size >> shift) & 0x7F) | (0x80 if size >> (shift + 7) else 0) for shift in range(0, 35, 7)
    )
    with path.open("wb") as file:
        file.write(b"\x3a" + length)  # field 7, the graph
        file.seek(size, 1)
        file.write(b"\x72\x06\x0a\x01k\x12\x01v")  # field 14: k = v
    assert metadata(path) == {"k": "v"}


def test_a_graph_with_weights_in_files_is_loaded_with_them(tmp_path: Path) -> None:
    values = np.arange(9, dtype=np.float32).reshape(3, 3)
    onnx.save(
        onnx.load_model_from_string(network(values)),
        tmp_path / "m.onnx",
        save_as_external_data=True,
        location="m.data",
        size_threshold=0,
    )
    model = ir.load(tmp_path / "m.onnx")
    with loadable(model) as source:
        assert isinstance(source, Path)
        assert source.exists()
        directory = source.parent
        x = np.eye(3, dtype=np.float32)[:2]
        assert np.array_equal(RUNTIME.open(source).run({"x": x})["dense_out"], values[:2])
    assert not directory.exists()
    assert np.array_equal(RUNTIME.open(model).run({"x": x})["dense_out"], values[:2])


@pytest.mark.parametrize("kind", ["path", "bytes", "graph"])
def test_the_graph_is_read_from_each_form(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(network())
    model = {"path": path, "bytes": network(), "graph": ir.load(path)}[kind]
    assert [node.name for node in graph_of(model)] == ["dense"]
