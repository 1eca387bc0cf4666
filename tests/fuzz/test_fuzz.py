"""A short run over random models; benchmarks/fuzz.py is the long one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.figures import smooth, sqnr
from tests.fuzz.models import Draft, build, drafts
from tests.fuzz.oracle import WAYS, judge
from tests.fuzz.per_tensor import quantized_per_tensor
from tests.fuzz.run import Judge, task
from tests.graph.build import build as build_text
from tinyint.quantization import qparams
from tinyint.torch_graph.operators import OPERATORS, Function


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def apart() -> Iterator[Judge]:
    with Judge() as judge_apart:
        yield judge_apart


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYINT_CACHE_DIR", str(tmp_path))


@settings(max_examples=int(os.environ.get("TINYINT_FUZZ", "150")))
@given(draft=drafts, way=st.sampled_from(WAYS))
def test_whatever_is_done_with_a_valid_model_is_refused_or_right(
    apart: Judge, draft: Draft, way: tuple[str, str]
) -> None:
    verdict = apart(draft, way)
    assert verdict.fault is None, f"{way}: {verdict.fault}: {verdict.told}"


def test_most_drafts_are_valid_models_of_many_operators() -> None:
    """A generator whose models are all alike, or all thrown away, finds nothing."""
    models = [drawn.model for seed in range(200) if (drawn := build(task(seed)[0]))]
    for model in models:
        onnx.checker.check_model(model)
    operators = {node.op_type for model in models for node in model.graph.node}
    assert len(models) > 190
    assert len(operators) > 60
    assert {model.opset_import[0].version for model in models} == set(range(7, 26))


def test_a_fault_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that are cut to an eighth of their range are neither refused nor right."""
    way = "static", "x86-vnni"
    done = [draft for draft, _ in map(task, range(30)) if judge(draft, way, folder).outcome == "done"]
    fitting = qparams.weight_range
    monkeypatch.setattr(qparams, "weight_range", lambda *given: tuple(end / 8 for end in fitting(*given)))
    assert [judge(draft, way, folder).fault for draft in done].count("simulated") > len(done) / 4


def test_outputs_behind_a_jump_in_a_body_are_not_compared() -> None:
    graph = onnx.parser.parse_graph(
        """
        g (float[2,3] x) => (float[2,3] stepped, float[2,3] plain) {
          stepped = Scan <num_scan_inputs = 1, body = b (float[3] i) => (float[3] o) { o = Floor (i) }> (x)
          plain = Scan <num_scan_inputs = 1, body = b (float[3] j) => (float[3] p) { p = Relu (j) }> (x)
        }
        """
    )
    assert smooth(graph) == ["plain"]


def test_a_quantizer_whose_codes_are_shifted_has_no_luck_with_zeros() -> None:
    """Of [-1, 1] in steps of 2 / 255, 1e-3 becomes 0; under other codes, anything up to half a step, 4e-3."""
    model = build_text("g (float[1,2] x) => (float[1,2] y) { y = Neg (x) }")
    samples = [{"x": np.float32([[1e-3, 1.0]])}, {"x": np.float32([[1e-3, -1.0]])}]
    expected = [sample["x"][:, :1] for sample in samples]
    found = []
    for shift in (None, *range(4)):
        outputs = quantized_per_tensor(model, samples, shift)
        assert outputs is not None
        found.append(sqnr(expected, [-o["y"][:, :1] for o in outputs]))
    assert found[0] == 0.0
    assert len(set(found)) == 5
    assert min(found) < -6


def test_a_wrong_operator_in_torch_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions and products that are 1 % too large, in float32."""
    way = "torch", ""
    drawn = ((draft, build(draft)) for draft, _ in map(task, range(100)))
    weighted = [
        draft
        for draft, made in drawn
        if made
        and made.model.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        and {"Conv", "MatMul"}.intersection(node.op_type for node in made.model.graph.node)
    ]
    done = [draft for draft in weighted if judge(draft, way, folder).outcome == "done"]
    for name in ("Conv", "MatMul"):
        monkeypatch.setitem(OPERATORS, name, lambda node, made=OPERATORS[name]: _enlarged(made(node)))
    assert [judge(draft, way, folder).fault for draft in done].count("torch") > len(done) / 2


def _enlarged(function: Function) -> Function:
    return lambda *inputs: 1.01 * function(*inputs)
