"""Sensitivity beside brute force: each unit quantized in a model of its own, by the planner."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tinyint.data import Sample
from tinyint.diagnosis.causes import Cause
from tinyint.diagnosis.compare import compare_matched
from tinyint.diagnosis.matched import Matched
from tinyint.diagnosis.sensitivity import Sensitivity, errors_alone, rows_of, samples_for
from tinyint.diagnosis.sweep import Sweep, passes
from tinyint.diagnosis.units import units_of
from tinyint.errors import DataError, ModelError
from tinyint.graph.prepare import prepare
from tinyint.numbers.numerics import sqnr_db
from tinyint.quantization.calibration import calibrate
from tinyint.quantization.ptq import quantize_graph
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime
from tinyint.targets import get_target

NET = """net (float[1,4,8,8] x) => (float[1,10] y) {
    [c1] a = Conv<pads = [1,1,1,1]>(x, w1, b1)  [relu] b = Relu(a)
    [c2] c = Conv(b, w2)  [r2] d = Relu(c)
    [c3] e = Conv(b, w3)  [s] f = Sigmoid(e)  [gate] g = Mul(d, f)
    [c4] h = Conv(g, w4)  [sum] i = Add(h, b)  [r3] j = Relu(i)
    [pool] k = GlobalAveragePool(j)  [flat] l = Flatten(k)  [fc] y = Gemm(l, w5) }"""

SHAPES = {"w1": (16, 4, 3, 3), "b1": (16,), "w2": (16, 16, 1, 1), "w3": (16, 16, 1, 1)}
SHAPES |= {"w4": (16, 16, 1, 1), "w5": (16, 10)}
GENERIC = get_target("generic")


# Input channel of each weight that is zero on all samples: what is planted there stretches the weight's only scale, and
# changes nothing else.
DEAD = {"w2": 0, "w3": 0, "w4": 1, "w5": 0}


def net(**planted: float) -> ir.Model:
    """NET with weights of this size where their input is zero."""
    random = np.random.default_rng(5)
    weights = {name: random.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    weights["b1"][0] = -100.0  # channel 0 of b is zero after the Relu
    weights["w2"][1] = -np.abs(weights["w2"][1])  # channel 1 of d and g, since b is positive
    weights["w4"][0] = -np.abs(weights["w4"][0])  # channel 0 of j and l, since g is positive
    for name, size in planted.items():
        place = DEAD[name] if name == "w5" else (slice(None), DEAD[name])
        weights[name][place] = -size
    return build(NET, **weights)


def samples(count: int = 4) -> list[Sample]:
    random = np.random.default_rng(1)
    return [
        Sample({"x": random.normal(size=(1, 4, 8, 8)).astype(np.float32)}, name=f"s{i}") for i in range(count)
    ]


def quantized(model: ir.Model, *, only: str | None = None) -> ir.Model:
    """Int8 model, or one with a single operator in int8."""
    prepared = prepare(model)
    record = calibrate(prepared, samples(), fingerprint="f")
    skipped = [node.name for node in prepared.graph if only is not None and node.name != only]
    epilogues = {"c1": "relu", "c2": "r2", "sum": "r3"}
    rules = [{"name": name, "float": True} for name in skipped if name != epilogues.get(only or "")]
    recipe = Recipe.parse({"weights": {"granularity": "per_tensor"}, "rules": rules, "calibration": "minmax"})
    return quantize_graph(prepared, target=GENERIC, recipe=recipe, record=record).model


def brute_force(model: ir.Model, name: str) -> float:
    """SQNR of the whole model with one operator in int8, op by op."""
    runtime = get_runtime("onnxruntime")
    alone = runtime.open(quantized(model, only=name), optimize=False)
    float_ = runtime.open(prepare(model))
    pairs = [(float_.run(s.inputs)["y"], alone.run(s.inputs)["y"]) for s in samples()]
    return sqnr_db(*(np.stack(side) for side in zip(*pairs, strict=True)))


def measured(model: ir.Model, int8: ir.Model) -> Sensitivity:
    matched = Matched.of(model, int8)
    units = units_of(matched)
    errors = errors_alone(matched, units, samples(), samples=4, threads=2)
    return rows_of(errors, units, matched, compare_matched(matched, samples()), {})


@pytest.mark.parametrize(
    ("planted", "worst"),
    [({"w2": 60.0}, "c2"), ({"w3": 200.0}, "c3"), ({"w4": 60.0}, "c4"), ({"w5": 60.0}, "fc")],
)
def test_the_planted_unit_is_the_worst(planted: dict[str, float], worst: str) -> None:
    model = net(**planted)
    found = measured(model, quantized(model))
    assert found.rows[0].name == worst
    assert found.rows[0].share > 0.9
    (weight,) = planted
    assert "of its noise is from its weights" in found.rows[0].detail
    assert f"; {weight}" in found.rows[0].detail
    assert sum(row.share for row in found.rows) == pytest.approx(1.0)


def test_a_unit_has_the_cause_of_its_worst_part() -> None:
    model = net(w4=40.0)
    outlier = model.graph.initializers["w5"].const_value.numpy().copy()
    outlier[3, 0] = 300.0
    model.graph.initializers["w5"].const_value = ir.tensor(outlier, name="w5")
    rows = {row.name: row for row in measured(model, quantized(model)).rows}
    assert rows["fc"].cause is Cause.WIDE  # for all channels but that of the outlier
    assert "; w5: channel 9 has" in rows["fc"].detail
    assert (rows["pool"].cause, rows["pool"].detail[-13:]) == (Cause.FINE, "dB on its own")


def test_a_unit_takes_its_clamp_along_and_movers_are_none() -> None:
    model = net()
    units = {unit.name: unit for unit in units_of(Matched.of(model, quantized(model)))}
    assert units["c1"].nodes == ("c1", "relu")
    assert (units["c1"].inputs, units["c1"].output) == (("x",), "b")
    assert "flat" not in units
    assert units["sum"].nodes == ("sum", "r3")


def test_a_sweep_gives_what_whole_runs_give() -> None:
    model = net(w2=10.0)
    int8 = quantized(model)
    matched = Matched.of(model, int8)
    units = units_of(matched)
    sweep = Sweep(matched=matched, units=units)
    inputs = samples(1)[0].inputs
    sweep.open(inputs)
    found = dict(sweep.run(inputs))
    runtime = get_runtime("onnxruntime")
    np.testing.assert_allclose(found[None]["y"], runtime.open(model).run(inputs)["y"], rtol=1e-4, atol=1e-5)
    alone = runtime.open(quantized(model, only="fc"), optimize=False).run(inputs)["y"]
    fc = next(unit for unit in units if unit.name == "fc")
    np.testing.assert_allclose(found[fc]["y"], alone, rtol=1e-3, atol=1e-3)
    assert list(found) == [None, *units]


def test_units_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = net(w2=10.0)
    whole = measured(model, quantized(model))
    monkeypatch.setattr("tinyint.diagnosis.sweep._BYTES", 1)
    assert measured(model, quantized(model)) == whole


def test_the_number_of_samples_follows_the_cost() -> None:
    assert samples_for(2.0) == 64
    assert samples_for(32.0) == 8  # 640 / (2.5 · 32)
    assert samples_for(1000.0) == 4
    matched = Matched.of(net(), quantized(net()))
    assert passes(Sweep(matched=matched, units=units_of(matched))) > 3.0


def test_without_samples_there_is_a_message() -> None:
    matched = Matched.of(net(), quantized(net()))
    with pytest.raises(DataError, match="no samples to measure"):
        errors_alone(matched, units_of(matched), [])


def test_ranges_found_at_run_time_are_refused() -> None:
    model = build("g (float[1,16] x) => (float[1,8] y) { [m] y = MatMul(x, w) }", w=(16, 8))
    prepared = prepare(model)
    dynamic = quantize_graph(prepared, target=get_target("x86-vnni"), recipe=Recipe.load("dynamic")).model
    with pytest.raises(ModelError, match="ranges at run time"):
        units_of(Matched.of(model, dynamic))


def test_the_order_is_that_of_brute_force() -> None:
    model = net(w2=10.0, w3=30.0, w4=40.0, w5=20.0)
    found = measured(model, quantized(model))
    expected = {row.name: brute_force(model, row.name) for row in found.rows if row.op in ("Conv", "Gemm")}
    assert len(expected) == 5
    ours = {row.name: row.output_db for row in found.rows}
    for name, db in expected.items():
        assert ours[name] == pytest.approx(db, abs=0.5), name
    assert sorted(expected, key=expected.__getitem__) == [r.name for r in found.rows if r.name in expected]
