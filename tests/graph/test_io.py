from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graph.build import build, feeds_of, run
from tinyint.errors import ModelError, OutputError
from tinyint.graph import io
from tinyint.graph.io import (
    is_quantized,
    load_model,
    model_bytes,
    model_fingerprint,
    save_model,
    weight_bytes,
)

TEXT = "g (float[N,8] x) => (float[N,16] y) { h = MatMul(x,w) y = Add(h,b) }"


@pytest.fixture
def model() -> ir.Model:
    return build(TEXT, w=(8, 16), b=(16,))


def saved(model: ir.Model, path: Path, *, external: bool = False) -> Path:
    save_model(model, path, external=external)
    return path


def test_a_model_comes_back_the_same_inline_and_external(model: ir.Model, tmp_path: Path) -> None:
    feeds, expected = feeds_of(model), run(model, feeds_of(model))[0]
    inline = load_model(saved(model, tmp_path / "a.onnx"))
    outside = load_model(saved(model, tmp_path / "b.onnx", external=True))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.onnx", "b.onnx", "b.onnx.data"]
    assert (tmp_path / "b.onnx.data").stat().st_size == 4 * 8 * 16  # the bias of 64 bytes stays inside
    for loaded in (inline, outside):
        np.testing.assert_array_equal(run(loaded, feeds)[0], expected)
        assert model_fingerprint(loaded) == model_fingerprint(model)
        assert weight_bytes(loaded) == 4 * (8 * 16 + 16)


def test_a_model_with_external_data_can_be_saved_over_its_source(tmp_path: Path) -> None:
    text = "g (float[N,8] x) => (float[N,16] y) { h = MatMul(x,v) y = MatMul(h,w) }"
    source = build(text, v=(8, 8), w=(8, 16))
    path = saved(source, tmp_path / "m.onnx", external=True)
    loaded = load_model(path)
    loaded.graph.initializers["v"].const_value = ir.tensor(np.ones((8, 9), np.float32))  # moves w in the file
    save_model(loaded, path, external=True)
    weight = source.graph.initializers["w"].const_value.numpy()
    for model in (loaded, load_model(path)):
        np.testing.assert_array_equal(model.graph.initializers["w"].const_value.numpy(), weight)
    save_model(loaded, path)
    assert model_fingerprint(load_model(path)) == model_fingerprint(loaded)


def test_a_model_beyond_one_message_is_written_with_external_data(
    model: ir.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(io, "PROTOBUF_LIMIT", 100)
    assert model_bytes(model) is None
    path = saved(model, tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx.data").exists()
    assert model_fingerprint(load_model(path)) == model_fingerprint(model)


def test_model_bytes_hold_the_external_weights_too(model: ir.Model, tmp_path: Path) -> None:
    path = saved(model, tmp_path / "m.onnx", external=True)
    model = ir.load(path)
    assert isinstance(model.graph.initializers["w"].const_value, ir.ExternalTensor)
    data = model_bytes(model)
    assert data is not None
    onnx.checker.check_model(onnx.load_from_string(data))
    assert isinstance(model.graph.initializers["w"].const_value, ir.ExternalTensor)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "not an ONNX model"),
        (b"once upon a time, in text", "not an ONNX model"),
        (b"\x08\x08", "truncated or damaged"),
        (b"\x08", "truncated or damaged"),
    ],
)
def test_what_is_no_model_is_refused_by_name(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "thing.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"thing\.onnx.*{message}"):
        load_model(path)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no such model file.*gone\.onnx"):
        load_model(tmp_path / "gone.onnx")
    with pytest.raises(ModelError, match="is a directory"):
        load_model(tmp_path)


def test_every_truncation_is_refused(model: ir.Model, tmp_path: Path) -> None:
    data = model_bytes(model)
    assert data is not None
    path = tmp_path / "cut.onnx"
    for size in range(0, len(data) - 40, 7):
        path.write_bytes(data[:size])
        with pytest.raises(ModelError):
            load_model(path)


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, 10_000), replacement=st.binary(min_size=1, max_size=4))
def test_a_damaged_file_is_readable_to_the_last_weight_or_refused_by_name(
    position: int, replacement: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = model_bytes(build(TEXT, w=(8, 16), b=(16,)))
    assert data is not None
    at = position % len(data)
    path = tmp_path_factory.mktemp("fuzz") / "f.onnx"
    path.write_bytes(data[:at] + replacement + data[at + len(replacement) :])
    try:
        model = load_model(path)
    except ModelError as error:
        refusal = str(error)
    else:
        refusal = ""
        model_fingerprint(model)
    assert not refusal or "f.onnx" in refusal


def test_a_weight_of_the_wrong_size_is_named(model: ir.Model, tmp_path: Path) -> None:
    proto = ir.to_proto(model)
    tensor = next(t for t in proto.graph.initializer if t.name == "w")
    tensor.raw_data = bytes(500)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=r"'w'.*m\.onnx.*damaged"):
        load_model(tmp_path / "m.onnx")


def test_an_old_operator_set_is_refused(tmp_path: Path) -> None:
    path = saved(build(TEXT, 6, w=(8, 16), b=(16,)), tmp_path / "old.onnx")
    with pytest.raises(ModelError, match=r"old\.onnx.*opset 6.*7"):
        load_model(path)


def test_missing_and_short_external_data_name_file_and_tensor(model: ir.Model, tmp_path: Path) -> None:
    path = saved(model, tmp_path / "m.onnx", external=True)
    data = tmp_path / "m.onnx.data"
    data.write_bytes(data.read_bytes()[:500])
    with pytest.raises(ModelError, match=r"m\.onnx\.data.*500 bytes.*'w'.*512"):
        load_model(path)
    data.unlink()
    with pytest.raises(ModelError, match=r"'w'.*m\.onnx\.data.*does not exist"):
        load_model(path)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/../../secret"])
def test_external_data_outside_the_directory_is_refused(
    location: str, model: ir.Model, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(bytes(512))
    folder = tmp_path / "models"
    folder.mkdir()
    proto = onnx.load(saved(model, folder / "m.onnx", external=True), load_external_data=False)
    for entry in next(t for t in proto.graph.initializer if t.name == "w").external_data:
        if entry.key == "location":
            entry.value = location
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=r"outside the model's directory"):
        load_model(folder / "m.onnx")


def test_weights_in_constant_nodes_may_be_external_as_well(tmp_path: Path) -> None:
    array = np.arange(4, dtype=np.float32)
    (tmp_path / "c.bin").write_bytes(bytes(8) + array.tobytes())
    tensor = ir.ExternalTensor("c.bin", 8, 16, ir.DataType.FLOAT, shape=ir.Shape([4]), name="c")
    model = build("g (float[4] x) => (float[4] y) { c = Constant<value_float=0.0>() y = Add(x,c) }")
    constant = model.graph.node(0)
    constant.attributes.clear()
    constant.attributes["value"] = ir.AttrTensor("value", tensor)
    (tmp_path / "m.onnx").write_bytes(ir.to_proto(model).SerializeToString())
    loaded = load_model(tmp_path / "m.onnx")
    np.testing.assert_array_equal(run(loaded, {"x": array})[0], 2 * array)


def no_space(*arguments: object, **keywords: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def interrupt(*arguments: object, **keywords: object) -> int:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("fault", "error"), [(no_space, OutputError), (interrupt, KeyboardInterrupt)])
@pytest.mark.parametrize(
    ("external", "place"),
    [(False, "write"), (False, "rename"), (True, "write"), (True, "rename"), (True, "data rename")],
)
def test_a_failed_save_leaves_the_old_files_and_nothing_else(
    place: str, fault: object, error: type[BaseException], external: bool, model: ir.Model, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = saved(build(TEXT, w=(8, 16), b=(16,)), tmp_path / "m.onnx", external=external)
    model.graph.initializers["w"].const_value = ir.tensor(np.ones((8, 16), np.float32))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    if place == "write":
        monkeypatch.setattr(*((ir, "save") if external else (Path, "write_bytes")), fault)
    else:
        monkeypatch.setattr(
            os, "replace", fail_on(path if place == "rename" else path.with_name("m.onnx.data"), fault)
        )
    with pytest.raises(error) as caught:
        save_model(model, path, external=external)
    monkeypatch.undo()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    if error is OutputError:
        assert "m.onnx" in str(caught.value)
        assert "No space left" in str(caught.value)


def fail_on(target: Path, fault: object) -> object:
    """An os.replace that fails the first time it is to write `target`."""
    replace, failed = os.replace, []

    def guarded(source: Path, destination: Path) -> None:
        if Path(destination) == target and not failed:
            failed.append(destination)
            fault()  # type: ignore[operator]
        replace(source, destination)

    return guarded


def test_a_failed_first_save_leaves_an_empty_directory(
    model: ir.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "replace", fail_on(tmp_path / "m.onnx", no_space))
    with pytest.raises(OutputError):
        save_model(model, tmp_path / "m.onnx", external=True)
    assert list(tmp_path.iterdir()) == []


def test_the_remedy_for_a_bad_place_is_named(model: ir.Model, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"m\.onnx.*'.*no/such' does not exist; create it"):
        save_model(model, tmp_path / "no/such/m.onnx")
    with pytest.raises(OutputError, match="not a regular file"):
        save_model(model, tmp_path)


def test_a_directory_without_permission_is_refused(
    model: ir.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **keywords: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    for external in (False, True):
        with pytest.raises(OutputError, match=r"m\.onnx.*Permission denied.*writable"):
            save_model(model, tmp_path / "m.onnx", external=external)
    assert list(tmp_path.iterdir()) == []


def test_the_fingerprint_ignores_names_of_nodes_and_remarks(model: ir.Model) -> None:
    before = model_fingerprint(model)
    model.doc_string, model.metadata_props["k"] = "remark", "v"
    model.graph.node(0).name, model.graph.node(0).doc_string = "renamed", "remark"
    model.graph.node(0).metadata_props["k"] = "v"
    assert model_fingerprint(model) == before


def test_the_fingerprint_sees_one_bit_of_a_weight_an_attribute_and_the_structure(model: ir.Model) -> None:
    prints = {model_fingerprint(model)}
    weight = model.graph.initializers["w"].const_value.numpy().copy()
    weight.view(np.uint32)[3, 5] ^= 1
    model.graph.initializers["w"].const_value = ir.tensor(weight)
    prints.add(model_fingerprint(model))
    for body in (
        "h = Gemm(x,w) y = Add(h,b)",
        "h = Gemm<alpha=2.0>(x,w) y = Add(h,b)",
        "h = MatMul(x,w) y = Add(b,h)",
    ):
        prints.add(model_fingerprint(build(TEXT[: TEXT.index("{")] + "{" + body + "}", w=(8, 16), b=(16,))))
    assert len(prints) == 5


def test_the_fingerprint_reads_branches() -> None:
    def branchy(op: str) -> ir.Model:
        return build(
            f"""g (float[2] x, bool c) => (float[2] y) {{ y = If(c) <
            then_branch = t () => (float[2] p) {{ p = {op}(x) }},
            else_branch = e () => (float[2] q) {{ q = Abs(x) }}> }}"""
        )

    assert model_fingerprint(branchy("Neg")) == model_fingerprint(branchy("Neg"))
    assert model_fingerprint(branchy("Neg")) != model_fingerprint(branchy("Exp"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = Relu(x)", False),
        ("q = QuantizeLinear(x,s) y = DequantizeLinear(q,s)", True),
        ("q, s2, z = DynamicQuantizeLinear(x) r = MatMulInteger(q,q) y = Cast<to=1>(r)", True),
        ("y = com.microsoft.MatMulNBits(x,s)", True),
    ],
)
def test_quantized_models_are_recognised(body: str, expected: bool) -> None:
    constants = {"s": np.float32(1)} if "s)" in body else {}
    assert is_quantized(build(f"g (float[2,2] x) => (float[2,2] y) {{ {body} }}", **constants)) is expected


def test_an_output_that_is_an_input_does_not_open_its_shape(tmp_path: Path) -> None:
    header = '<ir_version: 8, opset_import: ["": 17]>'
    text = "g (float[2,8] x) => (float[N,M] x, float[2,8] y) { y = Relu(x) }"
    (tmp_path / "m.onnx").write_bytes(onnx.parser.parse_model(header + text).SerializeToString())
    assert load_model(tmp_path / "m.onnx").graph.inputs[0].shape == ir.Shape([2, 8])
