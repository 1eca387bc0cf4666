from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.graph.build import build, feeds_of, operators, run
from tests.runtimes.graphs import Graph
from tests.runtimes.test_ort import NETWORK, X, double_and_relu, network
from tinyint.errors import DataError, DependencyError, ModelError, TargetError
from tinyint.runtimes import openvino
from tinyint.runtimes.openvino import RUNTIME


def test_outputs_come_by_name_from_a_path_bytes_or_a_graph(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(double_and_relu("N", 3))
    for model in (path, path.read_bytes(), ir.load(path)):
        session = RUNTIME.open(model, threads=1)
        out = session.run(X)
        assert list(out) == ["double_out", "relu_out"]
        assert np.array_equal(out["double_out"], X["x"] * 2)
        assert np.array_equal(out["relu_out"], [[1, 0, 3], [4, 5, 0]])
    (spec,) = session.inputs
    assert (spec.name, spec.dtype, spec.shape) == ("x", np.float32, (None, 3))


def test_outputs_of_run_are_the_callers() -> None:
    session = RUNTIME.open(double_and_relu(2, 3))
    kept = session.run(X)["double_out"]
    session.run_transient({"x": X["x"] + 1})
    session.run({"x": X["x"] + 1})
    assert np.array_equal(kept, X["x"] * 2)


LARGE = (1, 256, 32, 32)  # a megabyte


def large(*shape: int | str) -> bytes:
    g = Graph(*shape)
    doubled = g.add("Mul", ["x", g.constant("two", np.float32(2))], "double")
    return g.model(doubled, g.add("Relu", ["x"], "relu"))


@pytest.mark.parametrize(
    ("shape", "batch", "hands_over"),
    [(LARGE, None, True), (("N", *LARGE[1:]), 1, True), (("N", *LARGE[1:]), None, False)],
)
def test_large_outputs_of_known_shape_are_handed_over_and_stay(
    shape: tuple[int | str, ...], batch: int | None, hands_over: bool
) -> None:
    session = RUNTIME.open(large(*shape), batch=batch, threads=1)
    kept = [session.run({"x": np.full(LARGE, value, np.float32)}) for value in range(6)]
    session.run_transient({"x": np.full(LARGE, 9, np.float32)})
    assert session._hands_over == hands_over
    assert kept[-1]["double_out"].flags.owndata != hands_over
    del session
    for value, outputs in enumerate(kept):
        assert (outputs["double_out"] == 2 * value).all()
        assert (outputs["relu_out"] == value).all()
        outputs["relu_out"][:] = 7  # the caller's to change
    assert (kept[0]["double_out"] == 0).all()


def test_large_outputs_that_are_inputs_leave_the_callers_arrays_as_they_are() -> None:
    g = Graph(*LARGE)
    cast = g.add("Cast", [g.add("Cast", ["x"], "first", to=1)], "second", to=1)
    session = RUNTIME.open(g.model(cast, g.add("Relu", ["x"], "relu")))
    arrays = [np.full(LARGE, value, np.float32) for value in (1, 2, 3, 4)]
    kept = [session.run({"x": array}) for array in arrays]
    for value, (array, outputs) in enumerate(zip(arrays, kept, strict=True), 1):
        assert (array == value).all()
        assert (outputs["second_out"] == value).all()
        assert (outputs["relu_out"] == value).all()
        assert not np.shares_memory(array, outputs["second_out"])


def test_a_fixed_batch_is_the_only_one_that_runs() -> None:
    session = RUNTIME.open(double_and_relu("N", 3), batch=2)
    assert session.inputs[0].shape == (2, 3)
    assert np.array_equal(session.run(X)["double_out"], X["x"] * 2)
    with pytest.raises(DataError, match=r"expected float32 \[2, 3\], got float32 \[1, 3\]"):
        session.run({"x": X["x"][:1]})


def test_outputs_of_merged_values_keep_their_own_names() -> None:
    g = Graph(2, 3)
    relu = g.add("Relu", ["x"], "relu")
    copies = [g.add("Identity", [relu], name) for name in ("second", "first")]
    assert RUNTIME.open(g.model(*copies)).outputs == ("second_out", "first_out")


def test_precision_is_float32_unless_asked_otherwise() -> None:
    model = double_and_relu(2, 3)
    assert RUNTIME.open(model).precision == "float32"
    capabilities = openvino._core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if "BF16" in capabilities:
        assert RUNTIME.open(model, precision="bfloat16").precision == "bfloat16"
    else:
        with pytest.raises(TargetError, match="cannot compute in bfloat16"):
            RUNTIME.open(model, precision="bfloat16")


def test_float32_is_computed_in_float32() -> None:
    """1 + 2⁻²⁰ is lost in bfloat16 and in float16."""
    g = Graph(1, 64)
    model = g.model(g.add("MatMul", ["x", g.constant("w", np.eye(64, dtype=np.float32))], "dense"))
    x = np.full((1, 64), 1 + 2**-20, np.float32)
    assert np.array_equal(RUNTIME.open(model).run({"x": x})["dense_out"], x)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_what_was_asked_for(threads: int) -> None:
    compiled, _ = openvino._compile(double_and_relu(2, 3), threads, "float32")
    assert compiled.get_property("INFERENCE_NUM_THREADS") == threads
    assert compiled.get_property("NUM_STREAMS") == 1
    assert not compiled.get_property("ENABLE_CPU_PINNING")


def test_no_more_threads_are_used_than_there_are_cores() -> None:
    asked = (RUNTIME.most_threads() or 0) + 8
    compiled, _ = openvino._compile(double_and_relu(2, 3), asked, "float32")
    assert compiled.get_property("INFERENCE_NUM_THREADS") == RUNTIME.most_threads()


def test_there_is_no_simulation() -> None:
    with pytest.raises(TargetError, match="simulate op by op on onnxruntime"):
        RUNTIME.open(double_and_relu(2, 3), optimize=False)


def test_wrong_feeds_are_refused() -> None:
    with pytest.raises(DataError, match=r"expected float32 \[2, 3\], got float32 \[2, 4\]"):
        RUNTIME.open(double_and_relu(2, 3)).run({"x": np.zeros((2, 4), np.float32)})


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "damaged.onnx"
    path.write_bytes(double_and_relu(2, 3)[:60])
    with pytest.raises(
        ModelError, match=r"damaged\.onnx: openvino cannot load it: Unable to read the model"
    ) as caught:
        RUNTIME.open(path)
    assert "Exception from" not in str(caught.value)


def test_executed_nodes_are_traced_to_the_source() -> None:
    rows = {source: row for row in RUNTIME.executed(network()) for source in row.sources}
    weighted = [name for name in NETWORK if name in ("conv1", "pool", "conv2", "mean", "fc")]
    assert [name for name in weighted if name in rows and rows[name].int8] == weighted
    assert rows["conv1"].op == "Convolution"
    assert "I8" in rows["conv1"].detail
    assert all(row.op not in ("Const", "Input", "Output") for row in rows.values())


def test_names_that_openvino_extends_are_traced_too() -> None:
    g = Graph(2, 3)
    g.add("Relu", ["x"], "fc")
    source = ir.from_proto(onnx.load_model_from_string(g.model("fc_out"))).graph
    for layer in ("fc", "fc/WithoutBiases/DequantizationMultiply", "fc_out", "fc_out_original"):
        assert openvino._sources([layer, "Constant_12"], source) == ("fc",)


def test_without_openvino_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    openvino._core.cache_clear()
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DependencyError, match=r"pip install 'tinyint\[openvino\]'"):
        RUNTIME.open(double_and_relu(2, 3))
    openvino._core.cache_clear()


def test_deformable_convolution_runs_though_openvino_does_not_read_it(tmp_path: Path) -> None:
    text = (
        "g (float[N,4,6,6] x) => (float[N,3,6,6] y) { o = Conv<pads=[1,1,1,1]>(x,v) "
        "[deform] y = DeformConv<pads=[1,1,1,1]>(x,w,o) }"
    )
    model, path = build(text, 19, v=(18, 4, 3, 3), w=(3, 4, 3, 3)), tmp_path / "deform.onnx"
    ir.save(model, path)
    feeds = feeds_of(model)
    for form in (model, path, path.read_bytes()):
        found = RUNTIME.open(form).run(feeds)["y"]
        np.testing.assert_allclose(found, run(model, feeds)[0], atol=1e-4)
    assert "deform" in {row.name for row in RUNTIME.executed(path)}
    assert operators(model) == ["Conv", "DeformConv"]


@pytest.mark.parametrize("form", ["a local function", "the domain in full"])
def test_a_file_is_brought_into_a_form_that_openvino_reads(tmp_path: Path, form: str) -> None:
    relu = helper.make_node("Relu", ["c"], ["y"])
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], domain="ai.onnx"), relu]
    imports, functions = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx", 18)], []
    if form == "a local function":
        body = [helper.make_node("Conv", ["x", "w"], ["c"]), relu]
        imports = [helper.make_opsetid("", 18), helper.make_opsetid("pkg.lib", 1)]
        functions = [helper.make_function("pkg.lib", "ConvRelu", ["x", "w"], ["y"], body, imports[:1])]
        nodes = [helper.make_node("ConvRelu", ["x", "w"], ["y"], domain="pkg.lib")]
    weight = np.array([[[[1.0]]], [[[-1.0]]]], np.float32)
    shape = ["N", 1, 2, 2]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2, 2, 2])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=8)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    x = np.array([[[[1, -2], [3, -4]]]], np.float32)
    for source in (path, path.read_bytes()):
        found = RUNTIME.open(source).run({"x": x})["y"]
        assert found.tolist() == [[[[1, 0], [3, 0]], [[0, 2], [0, 4]]]]


def test_outputs_that_are_one_value_keep_their_names() -> None:
    """OpenVINO merges them: each port has both names."""
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 22]>
        g (float[2] x) => (float[2] z, float[2] a)
        {
            z = Relu (x)
            a = Dropout (z)
        }""")
    outputs = RUNTIME.open(model.SerializeToString()).run({"x": np.float32([-1, 2])})
    assert {name: array.tolist() for name, array in outputs.items()} == {"z": [0, 2], "a": [0, 2]}


def test_a_profile_has_the_nodes_that_run_with_their_times() -> None:
    feeds = {"x": np.zeros((1, 8, 16, 16), np.float32)}
    layers = RUNTIME.profile(network(), feeds, calls=3, threads=1)
    executed = {(row.name, row.op, row.int8) for row in RUNTIME.executed(network())}
    assert {(layer.name, layer.op, layer.precision == "int8") for layer in layers} <= executed
    found = {layer.name: layer.precision for layer in layers}
    assert (found["conv1"], found["conv2"], found["fc"]) == ("int8", "int8", "int8")
    assert "float32" in found.values()  # of the quantizer of the input
    assert all(layer.ms >= 0 for layer in layers)
    assert sum(layer.ms for layer in layers) > 0


def test_inputs_are_called_as_in_the_model_though_the_next_node_only_hands_them_on() -> None:
    model = build(
        """
        g (float[N,3] x, float[N,3] z, float[N,3] w) => (float[N,3] y) {
          a = Identity (x)  b = Dropout (z)  c = Relu (a)  d = Sub (c, b)  y = Sub (d, w)
        }
        """
    )
    session = RUNTIME.open(model)
    assert [spec.name for spec in session.inputs] == ["x", "z", "w"]
    feeds = {"w": 2 * X["x"], "z": X["x"] - 1, "x": X["x"]}
    expected = np.maximum(X["x"], 0) - (X["x"] - 1) - 2 * X["x"]
    np.testing.assert_array_equal(session.run(feeds)["y"], expected)
    np.testing.assert_array_equal(session.run_transient(feeds)["y"], expected)


def test_arrays_of_the_caller_stay_as_they_are_where_an_output_is_an_input() -> None:
    casts = "a = Cast <to = 1> (x) y = Cast <to = 1> (a) z = Relu (x)"
    model = build(f"net (float[N,2] x) => (float[N,2] y, float[N,2] z) {{ {casts} }}")
    arrays = [np.full((1, 2), value, np.float32) for value in (1, 2, 3, 4)]
    for call in (RUNTIME.open(model).run, RUNTIME.open(model).run_transient):
        for value, array in enumerate(arrays, 1):
            np.testing.assert_array_equal(call({"x": array})["y"], np.full((1, 2), value))
        assert [float(array[0, 0]) for array in arrays] == [1, 2, 3, 4]
