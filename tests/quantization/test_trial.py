"""What a runtime's optimizer gets wrong in int8 stays in float, and nothing else does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyint
from tests.graph.build import build
from tinyint import qat
from tinyint.errors import ModelError
from tinyint.quantization import trial as trial_module
from tinyint.quantization.plan import Plan
from tinyint.quantization.trial import Fault, Trial, tried
from tinyint.runtimes import Runtime, get_runtime
from tinyint.runtimes.host import host
from tinyint.targets import get_target

NODES = tuple("abcdefghij")


@dataclass
class _Built:
    """Stands for a graph: its "model" is the set of nodes in int8."""

    model: frozenset[str]

    @property
    def plan(self) -> Plan:
        order = tuple(name for name in NODES if name in self.model)
        return Plan(
            target="", tensors={}, constants={}, bias_weights={}, absorbed=frozenset(), fenced=frozenset(),
            biases=frozenset(), int8_nodes=order, float_nodes={},
        )  # fmt: skip


def _built(rejected: Mapping[str, str]) -> _Built:
    left = frozenset(NODES) - set(rejected)
    if not left:
        raise ModelError("nothing would run in int8")
    return _Built(left)


class _Picky(Trial):
    """A runtime that fails where all nodes of one of the `groups` are in int8."""

    def __init__(self, *groups: str, fatal: bool = False) -> None:
        super().__init__(prepared=frozenset(), target=get_target("generic"), feeds=[])  # type: ignore[arg-type]
        self.groups = [frozenset(group) for group in groups]
        self.loadings = 0
        self.fatal = fatal

    @property
    def runtime(self) -> Runtime:
        return get_runtime("onnxruntime")

    @property
    def label(self) -> str:
        return "the model"

    def fault(self, model: object) -> Fault | None:
        self.loadings += 1
        assert isinstance(model, frozenset)
        return Fault("picky 1.0 fails", self.fatal) if any(group <= model for group in self.groups) else None


def test_what_a_runtime_takes_is_loaded_once() -> None:
    trial = _Picky()
    assert tried(trial, _built).model == frozenset(NODES)  # type: ignore[type-var, comparison-overlap]
    assert trial.loadings == 1


def test_the_last_node_of_each_failing_group_stays_in_float() -> None:
    assert frozenset(NODES) - tried(_Picky("ce", "g"), _built).model == {"e", "g"}  # type: ignore[type-var, operator]


def test_a_float_model_that_fails_as_well_is_left_as_it_was_planned() -> None:
    trial = _Picky("")  # the empty group is in every model
    assert tried(trial, _built).model == frozenset(NODES)  # type: ignore[type-var, comparison-overlap]
    assert trial.loadings == 2


def test_a_model_that_ends_the_process_in_float_as_well_is_refused() -> None:
    with pytest.raises(
        ModelError, match=r"picky 1\.0 fails with it, and leaving nodes in float does not help; quantize for"
    ):
        tried(_Picky("", fatal=True), _built)  # type: ignore[type-var]


def test_so_is_one_that_ends_it_after_all_that_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_module, "_MOST", 2)
    left = tried(_Picky(*"abc"), _built)  # type: ignore[type-var]
    assert left.model == frozenset("cdefghij")  # type: ignore[comparison-overlap]
    with pytest.raises(ModelError, match="picky"):
        tried(_Picky(*"abc", fatal=True), _built)  # type: ignore[type-var]


@given(st.lists(st.text(alphabet="abcdefghij", min_size=1, max_size=4), min_size=1, max_size=4))
def test_nodes_are_held_until_the_runtime_takes_the_rest(groups: list[str]) -> None:
    trial = _Picky(*groups)
    kept = tried(trial, _built).model
    assert trial.fault(kept) is None
    assert frozenset(NODES) - kept <= frozenset("".join(groups))  # type: ignore[operator]


def test_nothing_left_for_int8_is_refused() -> None:
    with pytest.raises(ModelError, match="nothing would run in int8"):
        tried(_Picky(*NODES), _built)


def _model() -> onnx.ModelProto:
    """Two products; OpenVINO does not load the one before a pool in int8."""
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 22]>
        g (float[2,1,11,6] x, float[2,1,11,6] u) => (float[2,1,11,5] y, float[2,1,11,16] z)
        {
            [product] h = MatMul (x, v)
            [pool] y = AveragePool <kernel_shape = [1, 2], strides = [1, 3]> (h)
            [plain] z = MatMul (u, v)
        }""")
    weight = np.random.default_rng(1).normal(size=(6, 16)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "v"))
    return model


def _samples() -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [{name: rng.normal(size=(2, 1, 11, 6)).astype(np.float32) for name in "xu"} for _ in range(8)]


@pytest.mark.parametrize("target", ["openvino", "openvino-avx2"])
def test_openvino_loads_what_is_left(target: str, tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    tinyint.quantize(
        ir.from_proto(_model()), _samples(), target=target, output=path, run=tinyint.Run(verify=False)
    )
    session = get_runtime("openvino").open(path)
    assert {o["y"].shape for o in map(session.run, _samples())} == {(2, 1, 11, 5)}


def test_the_report_says_why_the_node_stays_in_float() -> None:
    result = tinyint.quantize(
        ir.from_proto(_model()), _samples(), target="openvino", run=tinyint.Run(verify=False)
    )
    reasons = [node.reason for node in result.report.coverage.float_nodes if "in int8" in node.reason]
    version = get_runtime("openvino").available()
    assert reasons == [f"openvino {version} does not run the model with it in int8"]


def test_training_leaves_out_the_same_nodes() -> None:
    module = qat.prepare(ir.from_proto(_model()), _samples(), target="openvino")
    assert any("with it in int8" in reason for reason in module.origin.plan.float_nodes.values())


@pytest.mark.skipif(
    not host().is_x86 or host().cores < 2, reason="OpenVINO on x86 ends it in several threads"
)
def test_a_product_with_which_openvino_ends_the_process_stays_in_float() -> None:
    """The one after windows of padding alone; the process that quantizes goes on to the proof, where it would end."""
    text = """
        g (float[1,4,1,1] x, float[4,16] u) => (float[1,1,1,16] y, float[4,16] z)
        { [window] c = Conv<pads=[0,0,1,1],strides=[3,1]>(x,k) [product] y = MatMul(c,w) [plain] z = MatMul(u,v) }"""
    model = build(text, k=(1, 4, 1, 1), w=(2, 16), v=(16, 16))
    rng = np.random.default_rng(0)
    shapes = {"x": (1, 4, 1, 1), "u": (4, 16)}
    samples = [{n: rng.normal(size=s).astype(np.float32) for n, s in shapes.items()} for _ in range(8)]
    coverage = tinyint.quantize(model, samples, target="openvino").report.coverage
    reasons = {node.name: node.reason for node in coverage.float_nodes}
    version = get_runtime("openvino").available()
    assert reasons["product"] == f"openvino {version} ends the process with it in int8"
    assert "plain" not in reasons


@pytest.mark.parametrize(("inside", "judged"), [("b = Relu (a)", True), ("b = Floor (a)", False)])
def test_outputs_are_judged_unless_values_jump_on_the_way_also_in_a_body(inside: str, judged: bool) -> None:
    scan = "y = Scan <num_scan_inputs = 1, body = turn (float[4] a) => (float[4] b) { BODY }> (x)"
    model = build(f"net (float[3,4] x) => (float[3,4] y) {{ {scan.replace('BODY', inside)} }}")
    assert trial_module._jumps(model.graph.outputs[0]) is not judged
