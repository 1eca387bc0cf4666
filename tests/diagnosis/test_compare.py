from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tinyint.data import Sample, open_data
from tinyint.diagnosis import compare as module
from tinyint.diagnosis.causes import Cause
from tinyint.diagnosis.compare import Comparison, TensorComparison, compare
from tinyint.errors import DataError, ModelError
from tinyint.graph.prepare import prepare
from tinyint.quantization.calibration import calibrate
from tinyint.quantization.ptq import quantize_graph
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime
from tinyint.targets import get_target

FLOAT = "g (float[1,N] x) => (float[1,N] y) { t = Abs(x) u = Sqrt(t) y = Neg(u) }"


def int8(t: float = 0.01, u: float = 0.01, gain: float = 1.0, zero: int = 0) -> ir.Model:
    """FLOAT with quantizers after t and u of these scales; `gain` is an error in the int8 model before t."""
    return build(
        f"""g (float[1,N] x) => (float[1,N] y)
        <float st = {{{t}}}, float su = {{{u}}}, uint8 z = {{{zero}}}, float k = {{{gain}}}>
        {{ m = Mul(x, k) t = Abs(m) t_q = QuantizeLinear(t, st, z) t_dq = DequantizeLinear(t_q, st, z)
          u = Sqrt(t_dq) u_q = QuantizeLinear(u, su, z) u_dq = DequantizeLinear(u_q, su, z) y = Neg(u_dq) }}"""
    )


def sample(*values: float) -> Sample:
    return Sample({"x": np.array([values], np.float32)}, name="s0")


def uniform(top: float, count: int = 4000) -> Sample:
    return sample(*np.random.default_rng(0).uniform(0, top, count))


def rows(found: Comparison) -> dict[str, TensorComparison]:
    return {row.name: row for row in found.rows}


def test_local_and_cumulative_by_hand() -> None:
    # t: 1, 4, 9 → exact. u: 1, 2, 3 with a step of 0.75 → 0.75, 2.25, 3.
    found = compare(build(FLOAT), int8(t=0.5, u=0.75), [sample(1, -4, 9)])
    by_name = rows(found)
    assert (by_name["t"].local_db, by_name["t"].cumulative_db) == (math.inf, math.inf)
    expected = 10 * math.log10(14 / 0.125)
    assert by_name["u"].local_db == pytest.approx(expected)
    assert by_name["u"].cumulative_db == pytest.approx(expected)
    assert (by_name["y"].local_db, by_name["y"].kind, by_name["y"].op) == (None, "output", "Neg")
    assert by_name["y"].cumulative_db == pytest.approx(expected)
    assert found.rows[-1].name == "t"
    # With t in steps of 3 (0, 3, 9): u is 0, √3, 3, in steps of 0.75 → 0, 1.5, 3.
    worse = rows(compare(build(FLOAT), int8(t=3.0, u=0.75), [sample(1, -4, 9)]))
    assert worse["u"].local_db == pytest.approx(expected)
    assert worse["u"].cumulative_db == pytest.approx(10 * math.log10(14 / 1.25))


def test_samples_add_up() -> None:
    data = [sample(1, -4, 9), sample(2, 2, 2)]
    found = compare(build(FLOAT), int8(t=0.75, u=0.01), data)
    assert found.samples == 2
    # 1 → 0.75, 4 → 3.75, 9 → 9, 2 → 2.25
    assert rows(found)["t"].local_db == pytest.approx(10 * math.log10((98 + 12) / (0.125 + 3 * 0.0625)))


def test_good_tensors_are_fine() -> None:
    found = compare(build(FLOAT), int8(t=0.01, u=0.01), [uniform(2.5)])
    assert {row.cause for row in found.rows} == {Cause.FINE}


def test_clipping_is_called_range() -> None:
    row = rows(compare(build(FLOAT), int8(t=0.005), [uniform(2.5)]))["t"]
    assert row.cause is Cause.RANGE
    assert "[0, 1.27]" in row.detail or "[0, 1.28]" in row.detail


def test_one_large_value_is_called_outlier_although_it_holds_all_the_energy() -> None:
    values = np.random.default_rng(0).uniform(0, 0.1, 4000)
    row = rows(compare(build(FLOAT), int8(t=0.4), [sample(*values, 100.0)]))["t"]
    assert row.local_db is not None
    assert row.local_db > 25
    assert row.cause is Cause.OUTLIER
    assert "the largest is 100" in row.detail


def test_a_range_that_nothing_fills_is_called_wide() -> None:
    assert rows(compare(build(FLOAT), int8(t=1.0), [uniform(2.5)]))["t"].cause is Cause.WIDE


def test_codes_at_the_ends_that_float_does_not_reach_are_called_saturation() -> None:
    found = rows(compare(build(FLOAT), int8(t=0.011, gain=3.0), [uniform(2.5)]))
    assert found["t"].cause is Cause.SATURATION
    assert found["u"].cause is Cause.ACCUMULATED
    assert found["y"].cause is Cause.ACCUMULATED


def test_a_constant_tensor_is_called_dead() -> None:
    assert rows(compare(build(FLOAT), int8(), [sample(0, 0)]))["t"].cause is Cause.DEAD


NET = """net (float[1,3,8,8] x) => (float[1,10] y) {
    [c1] a = Conv<pads = [1,1,1,1]>(x, w1, b1)  [relu] b = Relu(a)  [c2] c = Conv(b, w2)  [r2] d = Relu(c)
    [pool] e = GlobalAveragePool(d)  [flat] f = Flatten(e)  [fc] y = Gemm(f, w3) }"""


def net(**changed: np.ndarray) -> ir.Model:
    rng = np.random.default_rng(5)
    weights = {
        "w1": rng.normal(size=(16, 3, 3, 3)),
        "b1": rng.normal(size=16),
        "w2": rng.normal(size=(16, 16, 1, 1)),
        "w3": rng.normal(size=(16, 10)),
    }
    return build(NET, **{name: array.astype(np.float32) for name, array in (weights | changed).items()})


IMAGES = [
    Sample({"x": x[None]}, name=f"i{i}")
    for i, x in enumerate(np.random.default_rng(1).normal(size=(3, 3, 8, 8)).astype(np.float32))
]


def quantized(model: ir.Model, target: str = "x86-vnni", *settings: str, recipe: str = "default") -> ir.Model:
    prepared = prepare(model)
    data = open_data([s.inputs["x"] for s in IMAGES], get_runtime("onnxruntime").open(prepared).inputs)
    return quantize_graph(
        prepared,
        target=get_target(target),
        recipe=Recipe.load(recipe).with_settings(settings),
        record=calibrate(prepared, data, fingerprint="f", threads=1),
    ).model


@pytest.mark.parametrize("target", ["x86-vnni", "generic", "tensorrt"])
def test_our_own_models_match_in_full(target: str) -> None:
    found = compare(net(), quantized(net(), target), IMAGES, threads=1)
    assert found.unmatched == ()
    by_name = rows(found)
    # b stands for the Relu that x86-vnni has absorbed; its float twin has no negative values.
    assert by_name["b"].op == "Relu"
    assert {"x", "b", "y", "w1", "w2", "w3"} <= set(by_name)
    assert {row.cause for row in found.rows} <= {Cause.FINE}
    assert all(row.worst_db > 25 for row in found.rows if row.kind != "bias")
    worst = [row.worst_db for row in found.rows if row.kind != "bias"]
    assert worst == sorted(worst)


def test_several_passes_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    once = compare(net(), quantized(net()), IMAGES, threads=1)
    monkeypatch.setattr(module, "_BYTES_A_PASS", 1)
    opened = []
    expose = module._expose
    monkeypatch.setattr(module, "_expose", lambda *args: opened.append(1) or expose(*args))
    again = compare(net(), quantized(net()), IMAGES, threads=1)
    assert len(opened) > 4
    assert [(r.name, r.local_db) for r in once.rows] == [(r.name, r.local_db) for r in again.rows]
    for a, b in zip(once.rows, again.rows, strict=True):
        assert a.cumulative_db == (
            None if b.cumulative_db is None else pytest.approx(b.cumulative_db, rel=1e-4)
        )


def test_weight_causes() -> None:
    w2 = np.random.default_rng(2).normal(size=(16, 16, 1, 1))
    w2[3] *= 1e-4
    per_tensor = rows(
        compare(net(w2=w2), quantized(net(w2=w2), "x86-vnni", "weights.granularity=per_tensor"), IMAGES)
    )
    assert per_tensor["w2"].cause is Cause.WIDE
    assert "channel 3 has" in per_tensor["w2"].detail
    w2[3] = 0
    assert rows(compare(net(w2=w2), quantized(net(w2=w2)), IMAGES))["w2"].cause is Cause.DEAD


def test_a_bias_beyond_32_bits_is_found_by_its_coarse_weights() -> None:
    w1, b1 = np.random.default_rng(2).normal(size=(16, 3, 3, 3)), np.ones(16)
    w1[7] *= 1e-9
    b1[7] = 5.0
    found = rows(compare(net(w1=w1, b1=b1), quantized(net(w1=w1, b1=b1)), IMAGES))
    assert found["w1"].cause is Cause.BIAS_OVERFLOW
    assert found["w1"].detail.endswith("channel 7")


def test_weight_only_has_weights_and_outputs() -> None:
    found = compare(net(), quantized(net(), recipe="weight_only"), IMAGES)
    assert {row.kind for row in found.rows} == {"weight", "output"}


def test_weights_of_integer_products_are_found() -> None:
    found = rows(compare(net(), quantized(net(), recipe="dynamic"), IMAGES))
    assert (found["w3"].kind, found["w3"].op) == ("weight", "Gemm")
    assert found["w3"].worst_db > 35
    assert {"w1", "w2", "w3", "y"} <= set(found)


def test_weights_of_integer_products_of_other_tools_are_found() -> None:
    text = """g (float[1,2] x) => (float[1,2] y) { q, s, z = DynamicQuantizeLinear(x)
        i = MatMulInteger(q, w_quantized, z, w_zero_point)  f = Cast<to = 1>(i)  k = Mul(s, w_scale)  y = Mul(f, k) }"""
    w = np.array([[1.0, 0.0], [0.25, -1.0]], np.float32)
    other = build(
        text,
        w_quantized=np.array([[127, 0], [32, -127]], np.int8),
        w_scale=np.float32(1 / 127),
        w_zero_point=np.int8(0),
    )
    found = rows(
        compare(build("g (float[1,2] x) => (float[1,2] y) { y = MatMul(x, w) }", w=w), other, [sample(1, 2)])
    )
    assert found["w"].local_db == pytest.approx(10 * math.log10(2.0625 / (32 / 127 - 0.25) ** 2), rel=1e-4)


def test_few_clipped_values_that_make_most_of_the_error_are_called_range() -> None:
    values = np.random.default_rng(0).uniform(0, 2.5, 4000)
    row = rows(compare(build(FLOAT), int8(t=0.01, u=0.1), [sample(*values, 50.0)]))["t"]
    assert row.cause is Cause.RANGE
    assert row.detail.startswith("0.02% of the values lie beyond the range [0, 2.55]; they reach [")


def test_values_too_small_for_the_steps_are_called_resolution() -> None:
    # Six values in 4006 keep the range open, and the others are worth less than half a step.
    values = np.random.default_rng(0).uniform(0, 0.4, 4000)
    row = rows(compare(build(FLOAT), int8(t=1.0, u=0.1), [sample(*values, *[70.0] * 6)]))["t"]
    assert row.cause is Cause.RESOLUTION
    assert "half of the values are smaller than 0.2" in row.detail


FOREIGN = """g (float[1,4,2,2] x) => (float[1,4,2,2] y)
    <float sx = {0.02}, uint8 zx = {128}, float sc = {0.02}, uint8 zc = {0}> {
    x_Q = QuantizeLinear(x, sx, zx)  x_DequantizeLinear_Output = DequantizeLinear(x_Q, sx, zx)
    w_DequantizeLinear_Output = DequantizeLinear<axis = 0>(w_quantized, sw, zw)
    [conv] c = Conv(x_DequantizeLinear_Output, w_DequantizeLinear_Output)
    c_Q = QuantizeLinear(c, sc, zc)  c_DequantizeLinear_Output = DequantizeLinear(c_Q, sc, zc)
    [neg] y = Neg(c_DequantizeLinear_Output) }"""
FOREIGN_FLOAT = """g (float[1,4,2,2] x) => (float[1,4,2,2] y)
    { [conv] c = Conv(x, w)  [relu] r = Relu(c)  [neg] y = Neg(r) }"""


def foreign(text: str = FOREIGN) -> ir.Model:
    codes = (np.eye(4) * 127).astype(np.int8).reshape(4, 4, 1, 1)
    scales = np.full(4, 1 / 127, np.float32)
    return build(text, w_quantized=codes, sw=scales, zw=np.zeros(4, np.int8))


def test_models_of_other_tools() -> None:
    model = build(FOREIGN_FLOAT, w=np.eye(4, dtype=np.float32).reshape(4, 4, 1, 1))
    data = [Sample({"x": np.random.default_rng(0).uniform(-2, 2, (1, 4, 2, 2)).astype(np.float32)}, name="s")]
    found = compare(model, foreign(), data)
    assert found.unmatched == ()
    # The quantizer of c cuts at zero, and the Relu is gone: it stands for r.
    assert {(row.name, row.kind) for row in found.rows} == {
        ("x", "activation"),
        ("r", "activation"),
        ("w", "weight"),
        ("y", "output"),
    }
    assert all(row.worst_db > 35 for row in found.rows)


def test_a_tensor_that_the_float_model_lacks_is_told() -> None:
    model = build(FOREIGN_FLOAT.replace("c = Conv", "k = Conv").replace("(c)", "(k)"), w=(4, 4, 1, 1))
    found = compare(model, foreign(), [Sample({"x": np.ones((1, 4, 2, 2), np.float32)}, name="s")])
    assert found.unmatched == ("c",)


def test_models_that_do_not_belong_together() -> None:
    with pytest.raises(ModelError, match=r"has the inputs \['x'\], the float model has \['z'\]"):
        compare(build("g (float[1,N] z) => (float[1,N] y) { y = Abs(z) }"), int8(), [sample(1)])
    stranger = build("g (float[1,M] x) => (float[1,M] v) { w = Exp(x) v = Neg(w) }")
    with pytest.raises(ModelError, match="none of the int8 model's 2 quantized tensors, 't' the first"):
        compare(stranger, int8(), [sample(1)])
    longer = build("g (float[1,N] x) => (float[1,M] y) { t = Concat<axis = 1>(x, x) u = Sqrt(t) y = Neg(u) }")
    with pytest.raises(ModelError, match=r"'t' has shape \(1, 2\) in the float model and \(1, 1\)"):
        compare(longer, int8(), [sample(1)])
    other = np.random.default_rng(99)
    weights = {"w1": (16, 3, 3, 3), "b1": (16,), "w2": (16, 16, 1, 1), "w3": (16, 10)}
    retrained = net(**{name: other.normal(size=shape) for name, shape in weights.items()})
    with pytest.raises(ModelError, match="3 of the int8 model's 3 weights"):
        compare(retrained, quantized(net()), IMAGES)


def test_wrong_order_nan_and_no_samples() -> None:
    with pytest.raises(ModelError, match="first model is quantized already"):
        compare(int8(), build(FLOAT), [sample(1)])
    with pytest.raises(ModelError, match="second model is not quantized"):
        compare(build(FLOAT), build(FLOAT), [sample(1)])
    with pytest.raises(ModelError, match="NaN for sample s0"):
        compare(build(FLOAT), int8(), [sample(float("nan"))])
    with pytest.raises(DataError, match="no samples"):
        compare(build(FLOAT), int8(), [])


def test_shapes_that_depend_on_values_are_told_and_the_others_compared() -> None:
    picked = """g (float[1,N] x) => (float[K] y) <float s = {1.0}, uint8 z = {0}, float half = {0.5}>
        { BODY where = Greater(t, half) y = Compress(t, where) }"""
    original = build(picked.replace("BODY", "t = Abs(x)"))
    rounded = build(
        picked.replace("BODY", "a = Abs(x) t_q = QuantizeLinear(a, s, z) t = DequantizeLinear(t_q, s, z)")
    )
    # 0.6 becomes 1 and is picked by both; 0.5 is neither; 0.51 is picked by both, 1.5 becomes 2.
    found = compare(original, rounded, [sample(0.6, 0.2, 3.0), sample(0.4, 0.5, 1.5)])
    assert found.unlike == {}
    assert rows(found)["y"].cumulative_db == pytest.approx(10 * math.log10((0.36 + 9 + 2.25) / (0.16 + 0.25)))
    coarse = build(
        picked.replace(
            "BODY", "a = Abs(x) t_q = QuantizeLinear(a, s, z) t = DequantizeLinear(t_q, s, z)"
        ).replace("s = {1.0}", "s = {2.0}")
    )
    lost = compare(original, coarse, [sample(0.6, 0.2, 4.0), sample(4.0, 0.1, 0.1)])
    assert lost.unlike == {"y": 1}
    assert rows(lost)["y"].cumulative_db == math.inf
    never = compare(original, coarse, [sample(0.6, 0.2, 4.0)])
    assert never.unlike == {"y": 1}
    assert "y" not in rows(never)


def test_elements_of_a_sequence_are_compared_one_by_one() -> None:
    text = """g (float[1,N] x) => (seq(float[1,N]) y) <float s = {0.5}, uint8 z = {0}>
        { BODY y = SequenceConstruct(t, x) }"""
    quantized = "a = Abs(x) q = QuantizeLinear(a, s, z) t = DequantizeLinear(q, s, z)"
    found = rows(
        compare(
            build(text.replace("BODY", "t = Abs(x)")),
            build(text.replace("BODY", quantized)),
            [sample(1, 2.25)],
        )
    )
    assert found["y[0]"].cumulative_db == pytest.approx(10 * math.log10((1 + 2.25**2) / 0.0625))
    assert (found["y[1]"].cumulative_db, found["y[1]"].kind) == (math.inf, "output")
