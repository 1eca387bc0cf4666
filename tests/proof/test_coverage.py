from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
import pytest

from tests.fake_runtime import FakeRuntime
from tests.graph.build import build
from tinyint.data import open_data
from tinyint.graph.prepare import prepare
from tinyint.proof.coverage import FloatNode, read_coverage
from tinyint.quantization.calibration import CalibrationRecord, calibrate
from tinyint.quantization.ptq import Quantized, quantize_graph
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import Executed, get_runtime
from tinyint.targets import get_target

# MACs: first 8·8·16·3·9 = 27648, second 8·8·16·16 = 16384, fc 16·10 = 160.
NET = """net (float[1,3,8,8] x) => (float[1,10] y) {
    [first] a = Conv<pads = [1,1,1,1]>(x, w1)
    [relu] b = Relu(a)
    [second] c = Conv(b, w2)
    [erf] d = Erf(c)
    [pool] e = GlobalAveragePool(d)
    [flat] f = Flatten(e)
    [fc] y = Gemm(f, w3)
}"""
WEIGHTS = {"w1": (16, 3, 3, 3), "w2": (16, 16, 1, 1), "w3": (16, 10)}
TOTAL = 27648 + 16384 + 160


def net() -> ir.Model:
    return prepare(build(NET, **WEIGHTS))


def record(prepared: ir.Model) -> CalibrationRecord:
    images = np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype(np.float32)
    session = get_runtime("onnxruntime").open(prepared, threads=1)
    return calibrate(prepared, open_data(list(images[:, None]), session.inputs), fingerprint="f", threads=1)


def made(target: str, *settings: str, recipe: str = "default") -> Quantized:
    prepared = net()
    chosen = Recipe.load(recipe).with_settings(settings)
    return quantize_graph(prepared, target=get_target(target), recipe=chosen, record=record(prepared))


@dataclass
class Dump(FakeRuntime):
    """A runtime that says it ran `rows`: (operator, int8, sources)."""

    rows: tuple[tuple[str, bool, tuple[str, ...]], ...] = ()

    def executed(self, model: object) -> list[Executed]:  # noqa: ARG002
        return [
            Executed(name=sources[0] if sources else "", op=op, int8=int8, detail="", sources=sources)
            for op, int8, sources in self.rows
        ]


def test_shares_and_reasons_by_hand() -> None:
    rows = (
        ("QuantizeLinear", False, ("x/Q",)),
        ("QLinearConv", True, ("first", "relu")),
        ("FusedConv", False, ("second",)),
        ("Erf", False, ("erf",)),
        ("Transpose", True, ()),
        ("GlobalAveragePool", False, ("pool",)),
        ("Flatten", False, ("flat",)),
        ("QGemm", True, ("fc",)),
    )
    found = read_coverage(made("x86-vnni"), Dump(rows=rows))
    assert found.measured
    assert found.macs_planned == 1.0
    assert found.macs_int8 == pytest.approx((27648 + 160) / TOTAL)
    assert (found.nodes_int8, found.nodes_float) == (2, 3)
    reasons = {node.name: node.reason for node in found.float_nodes}
    assert reasons["second"] == "planned for int8, but fake ran it in float as FusedConv"
    assert reasons["erf"] == "Erf has no int8 form"
    assert list(reasons) == ["second", "erf", "pool"]
    assert "62.9% of the multiply-accumulates run in int8 on fake, although 100.0%" in found.warnings[0]


def test_a_weighted_node_that_cannot_be_found_is_not_taken_for_int8() -> None:
    found = read_coverage(made("x86-vnni"), Dump(rows=(("QLinearConv", True, ("first",)),)))
    assert found.macs_int8 == pytest.approx(27648 / TOTAL)
    assert (
        FloatNode(
            name="second",
            op="Conv",
            reason="planned for int8, but fake merged it into an operator that cannot be told to be int8",
        )
        in found.float_nodes
    )


def test_a_clamp_that_runs_on_its_own_in_float_is_listed() -> None:
    rows = (("Conv", False, ("first",)), ("Relu", False, ("relu",)), ("QLinearConv", True, ("second",)))
    quantized = made("x86-vnni", "skip=[first, relu]")
    alone = read_coverage(quantized, Dump(rows=rows))
    fused = read_coverage(quantized, Dump(rows=(("FusedConv", False, ("first", "relu")), rows[2])))
    assert "relu" in [node.name for node in alone.float_nodes]
    assert "relu" not in [node.name for node in fused.float_nodes]
    assert "kept in float" in alone.float_nodes[0].reason


@pytest.mark.parametrize("target", ["x86-vnni", "openvino"])
def test_real_runtimes_run_what_was_planned(target: str) -> None:
    if target == "openvino":
        pytest.importorskip("openvino")
    quantized = made(target)
    found = read_coverage(quantized, get_runtime(quantized.target.runtime))
    assert found.measured
    assert (found.macs_int8, found.macs_planned, found.warnings) == (1.0, 1.0, ())
    assert [node.name for node in found.float_nodes] == ["erf", "pool"]


def test_a_skipped_convolution_costs_its_share_on_onnxruntime() -> None:
    found = read_coverage(made("x86-vnni", "skip=[second]"), get_runtime("onnxruntime"))
    assert found.macs_int8 == found.macs_planned == pytest.approx((27648 + 160) / TOTAL)
    assert found.warnings == ()
    assert found.float_nodes[0].name == "second"


def test_dynamic_products_are_found_under_the_name_of_their_node() -> None:
    found = read_coverage(made("x86-vnni", recipe="dynamic"), get_runtime("onnxruntime"))
    assert found.macs_int8 == found.macs_planned == pytest.approx(160 / TOTAL)
    assert found.nodes_int8 == 1
    assert [node.name for node in found.float_nodes][:2] == ["first", "second"]


def test_weight_only_computes_in_float_by_design() -> None:
    found = read_coverage(made("x86-vnni", recipe="weight_only"), get_runtime("onnxruntime"))
    assert (found.macs_int8, found.macs_planned, found.nodes_int8, found.warnings) == (0.0, 0.0, 0, ())
    assert "by design" in found.notes[0]


def test_tensorrt_is_planned_and_held_against_its_rules() -> None:
    quantized = made("tensorrt")
    found = read_coverage(quantized, get_runtime("tensorrt"))
    assert not found.measured
    assert found.macs_int8 == found.macs_planned == 1.0
    assert found.notes == (
        "not measured: tensorrt does not run here; the shares are those that were planned",
    )
    broken = replace(quantized, model=made("x86-vnni").model)
    assert any(
        "TensorRT refuses it (int8)" in note for note in read_coverage(broken, get_runtime("tensorrt")).notes
    )


def test_a_target_of_another_processor_is_not_measured_on_this_one() -> None:
    quantized = made("x86-vnni")
    other = "arm64" if get_target().name.startswith("x86") else "x86-vnni"
    elsewhere = replace(quantized, target=get_target(other))
    found = read_coverage(elsewhere, get_runtime("onnxruntime"))
    assert not found.measured
    assert found.notes[0].startswith(f"not measured: {other} does not run here")


def test_shape_arithmetic_is_no_float_node_and_unknown_costs_are_told() -> None:
    text = """net (float[N,3,H,W] x) => (float[N,M] y, int64[4] u, float z) {
        [conv] c = Conv(x, w)
        [sh] s = Shape(x)
        [two] t = Constant<value_ints = [2]>()
        [div] u = Div(s, t)
        [flat] y = Flatten(c)
        [sum] z = ReduceSum<keepdims = 0>(c)
    }"""
    prepared = prepare(build(text, w=(4, 3, 1, 1)))
    chosen = Recipe.load("default")
    quantized = quantize_graph(prepared, target=get_target("generic"), recipe=chosen, record=record(prepared))
    found = read_coverage(quantized, get_runtime("onnxruntime"))
    assert [node.name for node in found.float_nodes] == ["sum"]
    for node in prepared.graph:
        if node.name == "conv":
            node.outputs[0].shape = None
    blind = read_coverage(quantized, get_runtime("onnxruntime"))
    assert (blind.macs_int8, blind.macs_planned) == (None, None)
    assert "'conv' is the first" in blind.notes[0]


def test_products_in_bodies_make_the_share_unknown() -> None:
    text = """net (float[2,16] x, bool c) => (float[2,16] y, float[2,16] z) {
        [main] z = MatMul (x, w)
        y = If (c) <
          then_branch = left () => (float[2,16] t) { [inner] t = MatMul (x, w) },
          else_branch = right () => (float[2,16] e) { e = Neg (x) }
        >
    }"""
    prepared = prepare(build(text, w=(16, 16)))
    chosen = Recipe.load("weight_only")
    quantized = quantize_graph(prepared, target=get_target("generic"), recipe=chosen, record=pytest.fail)
    found = read_coverage(quantized, get_runtime("onnxruntime"))
    assert (found.macs_int8, found.macs_planned) == (None, None)
    assert any("1 products have shapes" in note and "'inner'" in note for note in found.notes)
