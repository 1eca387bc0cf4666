"""Static quantization of what the peers' tests are about, for the runtimes of this machine and for other processors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import onnx
import onnx_ir as ir
import pytest

from tests.peers.branches import BRANCHES
from tests.peers.case import Case
from tests.peers.edges import SHAPES_AND_EDGES
from tests.peers.operators import OPERATORS
from tests.peers.products import CONTRIB, PRODUCTS
from tests.processor import OWN
from tinyint.errors import ModelError
from tinyint.graph.io import is_quantized
from tinyint.graph.ops import Kind, kind_of
from tinyint.graph.prepare import prepare_float
from tinyint.proof.coverage import read_coverage
from tinyint.proof.verify import verify
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.plan import plan
from tinyint.quantization.ptq import Quantized, quantize_graph
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime
from tinyint.targets import get_target

CASES: Mapping[str, Case] = {**OPERATORS, **SHAPES_AND_EDGES, **BRANCHES, **PRODUCTS, **CONTRIB}
ELSEWHERE = [name for name in ("arm64", "tensorrt") if name not in OWN]
ORT = get_runtime("onnxruntime")


@cache
def prepared(name: str) -> tuple[ir.Model, ir.Model]:
    """The float model as it is, and as it is calibrated."""
    model = CASES[name].model()
    return model, prepare_float(model)[0]


@cache
def record(name: str) -> CalibrationRecord:
    return CASES[name].record(prepared(name)[1])


def static(name: str, target: str) -> Quantized:
    graph, recipe = prepared(name)[1], Recipe.load("default")
    plan(graph, get_target(target), recipe)  # raises where there is nothing to calibrate for
    return quantize_graph(graph, target=get_target(target), recipe=recipe, record=record(name))


def taken(targets: list[str], *, refused: bool = False) -> list[tuple[str, str]]:
    """The cases, with each target that takes them, or that refuses them."""
    return [(n, t) for n, case in CASES.items() for t in targets if (case.refusal(t) is not None) is refused]


@pytest.mark.parametrize(("name", "target"), taken([*OWN]))
def test_it_runs_as_simulated_and_in_int8_where_it_can(name: str, target: str) -> None:
    case, runtime = CASES[name], get_runtime(OWN[target])
    model, _ = prepared(name)
    quantized = static(name, target)
    require_sound(model, quantized.model)
    require_close(case, model, quantized.model, target)
    require_int8(case, quantized, target)
    assert runtime.open(quantized.model, threads=1).outputs == tuple(v.name for v in model.graph.outputs)


@pytest.mark.parametrize(("name", "target"), taken(ELSEWHERE))
def test_for_other_processors_it_is_sound_and_close_to_float(name: str, target: str) -> None:
    model, _ = prepared(name)
    quantized = static(name, target)
    require_sound(model, quantized.model)
    if target == "tensorrt":
        assert [str(finding) for finding in get_target("tensorrt").check(quantized.model)] == []
    found = verify(model, quantized.model, CASES[name].samples(1, seed=2), runtime=ORT, held_out=True)
    simulated = {
        name: proof.simulated_sqnr_db for name, proof in found.outputs.items()
    }  # not as this processor sums
    assert {name: sqnr for name, sqnr in simulated.items() if sqnr is not None and sqnr <= 19} == {}


@pytest.mark.parametrize(("name", "target"), taken([*OWN, "openvino-avx2", "tensorrt"], refused=True))
def test_what_is_not_taken_is_refused_with_the_reason(name: str, target: str) -> None:
    with pytest.raises(ModelError, match=CASES[name].refusal(target)):
        get_runtime(get_target(target).runtime).open(static(name, target).model)


def require_sound(model: ir.Model, quantized: ir.Model) -> None:
    """It is valid ONNX, has the inputs and outputs of the float model, and holds integers."""
    onnx.checker.check_model(ir.to_proto(quantized), full_check=True)
    assert is_quantized(quantized)
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    assert [(v.name, v.dtype) for v in quantized.graph.inputs] == [(v.name, v.dtype) for v in inputs]
    outputs = [(v.name, v.dtype) for v in model.graph.outputs]
    assert [(v.name, v.dtype) for v in quantized.graph.outputs] == outputs


def require_close(case: Case, model: ir.Model, quantized: ir.Model, target: str) -> None:
    """Close to the float model, and within 1 dB of the simulation, which runs without optimization, or within 1 LSB."""
    runtime = get_runtime(OWN[target])
    found = verify(model, quantized, case.samples(4, seed=2), runtime=runtime, held_out=True)
    assert found.runtime == runtime.name
    for name, proof in found.outputs.items():
        if proof.equal is not None:
            assert proof.equal > 0.9, name
            continue
        assert proof.sqnr_db is not None, name
        assert proof.simulated_sqnr_db is not None, name
        assert proof.sqnr_db > 19, name
        assert proof.sqnr_db > proof.simulated_sqnr_db - 1 or (proof.lsb_max or 0) <= 1.01, name


def require_int8(case: Case, quantized: Quantized, target: str) -> None:
    """What is expected in int8 is, as the runtime says, and all else has a reason.

    An operator that moves values may be gone, merged into what is before or after it.
    """
    runtime = get_runtime(OWN[target])
    nodes = {node.name or "": node for node in quantized.prepared.graph}
    rows = runtime.executed(quantized.model)
    int8 = {source for row in rows if row.int8 for source in row.sources}
    floats = {source for row in rows if not row.int8 for source in row.sources}
    wanted = case.expected(runtime.name)
    assert wanted <= {*nodes}
    missing = {
        name
        for name in wanted - int8
        if name in floats or kind_of(nodes[name]) not in (Kind.PRESERVING, Kind.JOIN)
    }
    assert missing == set()
    products = {name for name, node in nodes.items() if kind_of(node) is Kind.COMPUTE}
    assert products & int8 <= wanted
    coverage = read_coverage(quantized, runtime)
    fell = {row.name for row in coverage.float_nodes if row.reason.startswith("planned for int8")}
    assert fell <= set(case.fallen.split())
