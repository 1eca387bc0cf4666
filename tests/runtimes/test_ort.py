from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from tests.graph.build import build
from tests.runtimes.graphs import SCALE, Graph
from tinyint.errors import DataError, ModelError, TargetError
from tinyint.runtimes.ort import RUNTIME, _options

X = {"x": np.array([[1, -2, 3], [4, 5, -6]], np.float32)}


def double_and_relu(*shape: int | str) -> bytes:
    g = Graph(*shape)
    two = g.constant("two", np.float32(2))
    return g.model(g.add("Mul", ["x", two], "double"), g.add("Relu", ["x"], "relu"))


def weight_only() -> bytes:
    g = Graph(4, 32)
    return g.model(
        g.add("MatMul", ["x", g.weight("w", (32, 8), axis=1)], "dense"),
        metadata={"tinyint.method": "weight_only"},
    )


def network() -> bytes:
    """conv, relu, max-pool, residual, mean, flatten, dense; all quantized but what follows."""
    g = Graph(1, 8, 16, 16)
    c = g.add("Relu", [g.conv(g.quantized("x"), "conv1", 8, 16, 3)], "relu1")
    c = g.quantized(g.add("MaxPool", [g.quantized(c, SCALE, 0)], "pool", kernel_shape=[2, 2]), SCALE, 0)
    c = g.quantized(g.add("Add", [g.quantized(g.conv(c, "conv2", 16, 16)), c], "sum"))
    c = g.quantized(g.add("Flatten", [g.quantized(g.add("GlobalAveragePool", [c], "mean"))], "flat"))
    y = g.add("Gemm", [c, g.weight("fc_w", (10, 16)), g.bias("fc_b", 10)], "fc", transB=1)
    return g.model(g.add("Tanh", [y], "tanh"))


def test_outputs_come_by_name_from_a_path_bytes_or_a_graph(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(double_and_relu("N", 3))
    for model in (path, str(path), path.read_bytes(), ir.load(path)):
        session = RUNTIME.open(model)
        out = session.run(X)
        assert list(out) == ["double_out", "relu_out"]
        assert np.array_equal(out["double_out"], X["x"] * 2)
        assert np.array_equal(out["relu_out"], [[1, 0, 3], [4, 5, 0]])
    (spec,) = session.inputs
    assert (spec.name, spec.dtype, spec.shape) == ("x", np.float32, (None, 3))
    assert session.precision == "float32"


@pytest.mark.parametrize("rows", [2, 2**18])
def test_outputs_of_run_are_the_callers(rows: int) -> None:
    session = RUNTIME.open(double_and_relu("N", 3))
    x = np.full((rows, 3), 3, np.float32)
    kept = session.run({"x": x})["double_out"]
    for _ in range(3):
        session.run({"x": x + 1})
    assert (kept == 6).all()
    assert kept.flags.writeable


def test_a_fixed_batch_is_the_only_one_that_runs() -> None:
    session = RUNTIME.open(double_and_relu("N", 3), batch=2)
    assert session.inputs[0].shape == (2, 3)
    assert np.array_equal(session.run(X)["double_out"], X["x"] * 2)
    with pytest.raises(DataError, match=r"expected float32 \[2, 3\], got float32 \[1, 3\]"):
        session.run({"x": X["x"][:1]})


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted by /proc")
def test_threads_are_started_as_asked_for(tmp_path: Path) -> None:
    """A session of n threads starts n - 1 beside the caller's."""
    path = tmp_path / "model.onnx"
    path.write_bytes(network())
    code = f"""
import os
from tinyint.runtimes.ort import RUNTIME
count = lambda: print(len(os.listdir("/proc/self/task")))
kept = [count(), *((RUNTIME.open({str(path)!r}, threads=threads), count()) for threads in (1, 2, 4))]
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert np.diff([int(line) for line in found.stdout.split()]).tolist() == [0, 1, 3]


def test_no_threads_are_refused() -> None:
    with pytest.raises(DataError, match="0 threads: expected 1 to"):
        RUNTIME.open(network(), threads=0)


def test_transient_inputs_need_not_be_contiguous() -> None:
    session = RUNTIME.open(double_and_relu("N", 3))
    for _ in range(2):
        out = session.run_transient({"x": np.asfortranarray(X["x"])})
    assert np.array_equal(out["double_out"], X["x"] * 2)


def test_an_output_whose_shape_depends_on_the_values() -> None:
    g = Graph(2, 3)
    where = g.add("Cast", [g.add("NonZero", ["x"], "where")], "cast", to=TensorProto.FLOAT)
    session = RUNTIME.open(g.model(where, g.add("Abs", ["x"], "abs")))
    for values in (X["x"], X["x"] * [[1, 0, 0], [0, 0, 0]], X["x"]):
        feeds = {"x": values.astype(np.float32)}
        out = session.run_transient(feeds)
        assert list(out) == ["cast_out", "abs_out"]
        assert np.array_equal(out["cast_out"], np.array(np.nonzero(feeds["x"])))
        assert np.array_equal(out["abs_out"], np.abs(feeds["x"]))


@pytest.mark.parametrize("method", ["run", "run_transient"])
def test_wrong_feeds_are_refused(method: str) -> None:
    session = RUNTIME.open(double_and_relu("N", 3))
    session.run_transient(X)
    with pytest.raises(DataError, match="got float64"):
        getattr(session, method)({"x": X["x"].astype(np.float64)})
    with pytest.raises(DataError, match="'x' is missing"):
        getattr(session, method)({})


def test_a_reason_starts_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the model: onnxruntime cannot load it: ONNX Runtime only"):
        RUNTIME.open(Graph(1, 3).model("x", opset=200))
    path = tmp_path / "new.onnx"
    path.write_bytes(Graph(1, 3).model("x", opset=200))
    with pytest.raises(ModelError, match=r"new\.onnx: onnxruntime cannot load it: ONNX Runtime only"):
        RUNTIME.open(path)


@pytest.mark.parametrize("content", [b"", b"no model at all", double_and_relu(2, 3)[:60]])
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "damaged.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"damaged\.onnx: onnxruntime cannot load it") as caught:
        RUNTIME.open(path)
    assert "ONNXRuntimeError" not in str(caught.value)


def test_a_file_that_reads_what_nothing_makes_is_refused_in_the_runtimes_words(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["nowhere"], ["y"])]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    path = tmp_path / "damaged.onnx"
    imports = [helper.make_opsetid("", 17)]
    onnx.save(
        helper.make_model(helper.make_graph(nodes, "net", [], [y]), opset_imports=imports, ir_version=9), path
    )
    with pytest.raises(ModelError, match="'nowhere' is not a graph input"):
        RUNTIME.open(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx"):
        RUNTIME.open(tmp_path / "none.onnx")


def test_a_failure_inside_the_model_is_a_model_error() -> None:
    g = Graph("N", 3)
    model = g.model(g.add("Reshape", ["x", g.constant("shape", np.array([2, 3]))], "fold"))
    session = RUNTIME.open(model)
    session.run_transient(X)
    for run in (session.run, session.run_transient):
        with pytest.raises(ModelError, match="failed to run it"):
            run({"x": np.zeros((5, 3), np.float32)})


def test_another_precision_is_refused() -> None:
    with pytest.raises(TargetError, match="bfloat16"):
        RUNTIME.open(double_and_relu(2, 3), precision="bfloat16")


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError):
        RUNTIME.open(b"no model at all")
    RUNTIME.executed(network())
    assert capfd.readouterr() == ("", "")


def test_weight_only_weights_are_dequantized_at_load() -> None:
    assert [row.op for row in RUNTIME.executed(weight_only())] == ["MatMul"]


def test_idle_sessions_do_not_spin() -> None:
    """A session of 2 threads kept a core busy between its runs: another runtime's took 8.2 ms instead of 4.6."""
    options = _options(double_and_relu(2, 3), 2, True)
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)


def test_the_simulation_keeps_every_node() -> None:
    """Q/DQ clip, and round ties to even, as they stand."""
    g = Graph(1, 3)
    model = g.model(g.quantized("x", scale=1.0, zero_point=0))
    out = RUNTIME.open(model, optimize=False).run({"x": np.array([[-1.0, 2.5, 300.0]], np.float32)})
    assert np.array_equal(out["x_dq"], [[0, 2, 255]])


def test_executed_nodes_are_traced_to_the_source() -> None:
    rows = {row.name: row for row in RUNTIME.executed(network())}
    assert [name for name in rows if name in NETWORK] == NETWORK
    assert [name for name in NETWORK if rows[name].int8] == NETWORK[:-1]
    assert rows["conv1"].sources == ("conv1", "relu1")
    assert rows["fc"].op == "QGemm"


NETWORK = ["conv1", "pool", "conv2", "sum", "mean", "flat", "fc", "tanh"]


def test_float_convolutions_keep_their_names_when_their_layout_changes() -> None:
    g = Graph(1, 16, 8, 8)
    weight = g.constant("w", np.ones((16, 16, 3, 3), np.float32))
    x = g.add("Relu", [g.add("Conv", ["x", weight], "conv")], "relu")
    (row,) = [row for row in RUNTIME.executed(g.model(x)) if "Conv" in row.op]
    assert (row.name, row.sources, row.int8) == ("conv", ("conv", "relu"), False)


def test_a_dynamic_product_is_traced_through_its_rescaling() -> None:
    g = Graph(4, 32)
    q = ["x_q", "x_scale", "x_zero_point"]
    g.nodes.append(helper.make_node("DynamicQuantizeLinear", ["x"], q, name="dynamic"))
    weight = [g.constant("w", np.ones((32, 8), np.int8)), g.constant("w_zero_point", np.int8(0))]
    product = g.add("MatMulInteger", [q[0], weight[0], q[2], weight[1]], "product")
    scale = g.add("Mul", ["x_scale", g.constant("w_scale", np.float32(0.1))], "scale")
    scaled = g.add("Mul", [g.add("Cast", [product], "cast", to=TensorProto.FLOAT), scale], "scaled")
    (row,) = RUNTIME.executed(
        g.model(g.add("Add", [scaled, g.constant("b", np.ones(8, np.float32))], "bias"))
    )
    assert (row.name, row.op, row.int8) == ("product", "DynamicQuantizeMatMul", True)
    assert row.sources == ("product", "cast", "scaled", "bias")


def test_executed_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    RUNTIME.executed(network())
    assert list(tmp_path.iterdir()) == []


def test_a_large_constant_that_nothing_reads_is_no_matter() -> None:
    g = Graph(1, 4)
    g.constant("unread", np.zeros(4096, np.float32))
    model = ir.from_proto(onnx.load_model_from_string(g.model(g.add("Relu", ["x"], "relu"))))
    x = np.array([[-1, 2, -3, 4]], np.float32)
    session = RUNTIME.open(model, optimize=False)
    np.testing.assert_array_equal(next(iter(session.run({"x": x}).values())), [[0, 2, 0, 4]])


def test_sequences_come_as_lists_every_time() -> None:
    model = build("g (float[N,2] x) => (seq(float[N,2]) y) { a = Neg(x) y = SequenceConstruct(x, a) }")
    session = RUNTIME.open(model)
    for _ in range(2):
        (first, second) = session.run_transient({"x": np.ones((1, 2), np.float32)})["y"]
        assert first.tolist() == [[1, 1]]
        assert second.tolist() == [[-1, -1]]


def test_an_output_may_have_more_rows_than_its_file_declares() -> None:
    model = build(
        """g (float[N] x, float[N] z) => (float[N] picked, float[N] twice)
        { where = Greater(x, z) picked = Compress(x, where) twice = Add(x, x) }"""
    )
    session, zeros = RUNTIME.open(model), np.zeros(3, np.float32)
    for values in ([1, 1, -1], [1, -1, -1], [1, 1, 1], [-1, -1, -1], [2, 2, -1]):
        x = np.array(values, np.float32)
        found = session.run_transient({"x": x, "z": zeros})
        assert found["picked"].tolist() == x[x > 0].tolist()
        assert found["twice"].tolist() == (2 * x).tolist()


def test_a_profile_has_the_nodes_that_run_with_their_times() -> None:
    feeds = {"x": np.zeros((1, 8, 16, 16), np.float32)}
    layers = RUNTIME.profile(network(), feeds, calls=3, threads=1)
    executed = {(row.name, row.op, row.int8) for row in RUNTIME.executed(network())}
    assert {(layer.name, layer.op, layer.precision == "int8") for layer in layers} <= executed
    found = {layer.name: layer.precision for layer in layers}
    assert (found["conv1"], found["conv2"], found["fc"], found["tanh"]) == ("int8", "int8", "int8", "float32")
    assert all(layer.ms >= 0 for layer in layers)
    assert sum(layer.ms for layer in layers) > 0


def test_a_profile_of_bfloat16_is_of_what_runs_in_its_place() -> None:
    model = build("g (bfloat16[2,3] x) => (bfloat16[2,3] y) { y = Relu (x) }")
    (layer,) = [row for row in RUNTIME.profile(model, X, calls=1) if row.op == "Relu"]
    assert layer.precision == "float32"
