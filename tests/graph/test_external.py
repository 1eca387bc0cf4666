from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.graph.build import build
from tinyint import loading
from tinyint.errors import ModelError
from tinyint.graph.io import load_model, save_model
from tinyint.runtimes import get_runtime

TEXT = "g (float[N,8] x) => (float[N,16] y) { y = MatMul(x,w) }"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model in a directory of its own, its weights in m.onnx.data."""
    path = tmp_path / "own" / "m.onnx"
    path.parent.mkdir()
    save_model(build(TEXT, w=(8, 16)), path, external=True)
    return path


def test_data_are_not_read_through_a_link_that_leads_out(model: Path, tmp_path: Path) -> None:
    data, secret = model.with_name("m.onnx.data"), tmp_path / "secret"
    data.rename(secret)
    data.symlink_to(secret)
    with pytest.raises(ModelError, match="outside the model's directory"):
        load_model(model)


def test_nor_through_a_directory_that_is_a_link(model: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    model.with_name("m.onnx.data").rename(outside / "w.bin")
    (model.parent / "weights").symlink_to(outside, target_is_directory=True)
    content = model.read_bytes()
    model.write_bytes(content.replace(b"m.onnx.data", b"weights/w.b"))
    (outside / "w.bin").rename(outside / "w.b")
    with pytest.raises(ModelError, match=r"'weights/w\.b', outside the model's directory"):
        load_model(model)


def test_a_cache_of_links_into_one_directory_is_read(model: Path, tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "1"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for name, blob in (("m.onnx", "a1"), ("m.onnx.data", "b2")):
        (model.parent / name).rename(blobs / blob)
        (snapshot / name).symlink_to(os.path.relpath(blobs / blob, snapshot))
    assert load_model(snapshot / "m.onnx").graph.initializers["w"].const_value is not None


def test_a_data_file_may_begin_with_dots(model: Path) -> None:
    model.with_name("m.onnx.data").rename(model.with_name("..onnx.data"))
    model.write_bytes(model.read_bytes().replace(b"m.onnx.data", b"..onnx.data"))
    load_model(model)


@pytest.mark.parametrize("name", [b"../onnx.dat", b"/dev/zero..", b"m\0onnx.data"])
def test_places_that_are_refused(model: Path, name: bytes) -> None:
    model.write_bytes(model.read_bytes().replace(b"m.onnx.data", name))
    with pytest.raises(ModelError, match=r"outside the model|does not exist"):
        load_model(model)


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / ("n" * 300), tmp_path / ("n" * 300) / "m.onnx"):
        with pytest.raises(ModelError, match=r"cannot read .*too long"):
            loading.load(path)
        with pytest.raises(ModelError, match=r"cannot read .*too long"):
            get_runtime("onnxruntime").open(path)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_what_is_no_file_is_refused(runtime: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.onnx"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        for read in (load_model, loading.load, get_runtime(runtime).open):
            with pytest.raises(ModelError, match="is a device or pipe, not a file"):
                read(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter any directory")
def test_a_closed_directory_is_told(model: Path) -> None:
    model.parent.chmod(0)
    try:
        with pytest.raises(ModelError, match="Permission denied"):
            loading.load(model)
    finally:
        model.parent.chmod(0o755)
