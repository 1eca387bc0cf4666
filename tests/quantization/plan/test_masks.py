"""Masks, however they are written: the planner keeps what touches them in float, and all cost the same."""

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tinyint.data import Sample
from tinyint.graph.prepare import prepare
from tinyint.numbers.observers import Summary
from tinyint.quantization.calibration import CalibrationRecord, calibrate
from tinyint.quantization.plan.masks import masking
from tinyint.quantization.ptq import quantize_graph
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime
from tinyint.targets import get_target

FILLS = [-np.inf, float(np.finfo(np.float32).min), -1e30, -1e4, -100.0]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 1, 6, 16)).astype(np.float32)

ATTENTION = """
net (float[N, 6, 16] x{inputs}) => (float[N, 6, 16] y) {{
  q = MatMul (x, wq) k = MatMul (x, wk) v = MatMul (x, wv) kt = Transpose <perm = [0, 2, 1]> (k)
  s0 = MatMul (q, kt) s1 = Mul (s0, scale) {masked} p = Softmax (s2) o = MatMul (p, v) y = MatMul (o, wo)
}}
"""
MASKED = {
    "a causal constant": ("", "s2 = Add (s1, causal)"),
    "Where on scores": (
        ", int64[N, 6] m",
        "b = Cast <to = 9> (m) u = Unsqueeze (b, one) s2 = Where (u, s1, fill)",
    ),
    "Where, then Add": (
        ", int64[N, 6] m",
        "b = Cast <to = 9> (m) u = Unsqueeze (b, one) w = Where (u, zero, fill) s2 = Add (s1, w)",
    ),
}


def attention(kind: str, fill: float) -> ir.Model:
    inputs, masked = MASKED[kind]
    triangle = np.triu(np.ones((1, 6, 6), bool), 1)
    constants = {
        "causal": np.where(triangle, np.float32(fill), np.float32(0)),
        "fill": np.float32(fill),
        "zero": np.float32(0),
        "one": np.array([1]),
    }
    text = ATTENTION.format(inputs=inputs, masked=masked)
    weights = {f"w{name}": RNG_WEIGHTS[i] for i, name in enumerate("qkvo")}
    return prepare(
        build(text, scale=np.float32(0.25), **weights, **{n: c for n, c in constants.items() if n in masked})
    )


RNG_WEIGHTS = (RNG.normal(size=(4, 16, 16)) / 4).astype(np.float32)


def samples(model: ir.Model, *, padded: bool) -> list[Sample]:
    lengths = [3 + i % 3 if padded else 6 for i in range(len(X))]
    masks = [(np.arange(6) < n).astype(np.int64)[None] for n in lengths]
    names = {value.name for value in model.graph.inputs}
    return [
        Sample({n: a for n, a in (("x", x), ("m", m)) if n in names}) for x, m in zip(X, masks, strict=True)
    ]


def sqnr(model: ir.Model, target: str, recipe: str, *, padded: bool = True) -> float:
    """Of the quantized model in ONNX Runtime, on samples with a mask, calibrated on such or on others."""
    record = calibrate(model, samples(model, padded=padded), fingerprint="f", threads=1)
    made = quantize_graph(model, target=get_target(target), recipe=Recipe.load(recipe), record=record)
    runs = [get_runtime("onnxruntime").open(m, threads=1, optimize=False) for m in (model, made.model)]
    outputs = [np.concatenate([r.run(s.inputs)["y"] for s in samples(model, padded=True)]) for r in runs]
    noise = np.square(outputs[1] - outputs[0]).sum()
    return float(10 * np.log10(np.square(outputs[0]).sum() / noise))


@pytest.mark.parametrize("recipe", ["default", "full"])
@pytest.mark.parametrize("target", ["x86-avx2", "openvino", "tensorrt"])
@pytest.mark.parametrize("kind", MASKED)
def test_all_masks_cost_the_same(kind, target, recipe):
    found = [sqnr(attention(kind, fill), target, recipe) for fill in FILLS]
    assert min(found) > 29
    assert max(found) - min(found) < 1


@pytest.mark.parametrize("fill", FILLS)
def test_a_mask_that_no_sample_of_the_calibration_uses(fill):
    assert sqnr(attention("Where, then Add", fill), "x86-avx2", "full", padded=False) > 25


HEADS = {
    "logits of a convolution": (
        """
        net (float[1, 4, 4, 4] x) => (float[1, 8, 4, 4] y) { c = Conv (x, w) [masking] y = Add (c, m) }
        """,
        {"w": (8, 4, 1, 1)},
        lambda fill: np.where(np.tri(4, dtype=bool), np.float32(0), np.float32(fill)),
        (1, 4, 4, 4),
        "masking",
    ),
    "a maximum over what is not masked": (
        """
        net (float[1, 4, 8] x) => (float[1, 4, 3] y) {
          m8 = Add (x, m) p = MaxPool <kernel_shape = [2], strides = [2]> (m8) [after] y = MatMul (p, w)
        }
        """,
        {"w": (4, 3)},
        lambda fill: np.float32([0, fill] * 4),
        (1, 4, 8),
        "after",
    ),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("fill", FILLS[:4])
def test_masks_elsewhere_stay_in_float_too(name, fill):
    text, weights, mask, shape, node = HEADS[name]
    model = prepare(build(text, m=mask(fill), **weights))
    x = np.random.default_rng(0).normal(size=(8, *shape)).astype(np.float32)
    record = calibrate(model, [Sample({"x": sample}) for sample in x], fingerprint="f", threads=1)
    assert "holds a mask" in masking(model.graph, record)[node]


def record_of(**tensors: Summary) -> CalibrationRecord:
    return CalibrationRecord("f", tensors)


def summary(*values: float, rare: float | None = None) -> Summary:
    made = Summary()
    array = np.float32([*values, *(() if rare is None else (1.0,) * 1000 + (rare,))])
    made.update(float(array.min()), float(array.max()), array, b"k")
    return made


@pytest.mark.parametrize(
    ("held", "is_mask"),
    [
        (summary(0, 1, -3, -1e4), True),
        (summary(0, 1, -3, 1e4), True),  # subtracted
        (summary(0, 0, -1e4, -2e4), True),  # two masks, added
        (summary(0, 1, -4000), False),
        (summary(-9000, -2000, -500, -100, 50), False),  # no gap: just large
        (summary(-1e4, -1.1e4), False),  # nothing beside
        (summary(rare=-1e4), False),  # one outlier, which a range may clip
        (summary(*[1] * 170, -1e4), True),  # 1 in 171 is not rare
        (summary(*[1] * 400, -1e4), False),
        (summary(0, -1100, -8400), False),  # 7.6 times as large: no gap
        (summary(0, -900, -8400), True),
    ],
)
def test_a_mask_is_a_fair_share_of_values_far_from_all_others(held, is_mask):
    model = prepare(build("net (float[1, 4] x) => (float[1, 4] y) { [one] y = MatMul (x, w) }", w=(4, 4)))
    found = masking(model.graph, record_of(x=held, y=summary(1.0)))
    assert ("one" in found) is is_mask


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([0, 1, -3, -10000], "holds a mask: values around -1e+04 beside others under 3"),
        ([0, 1, -0.5, 10000], "holds a mask: values around 1e+04 beside others under 1"),
        ([0, 0.5, -7, 10000], "holds a mask: values around 1e+04 beside others under 7"),
    ],
)
def test_the_values_of_a_mask_are_named_with_their_sign(values, told):
    text = "net (float[1, 4] x) => (float[1, 4] y) { [one] y = Add (x, m) }"
    model = build(text, m=np.float32(values))
    assert masking(model.graph, record_of(x=summary(1.0), y=summary(1.0)))["one"] == f"'m' {told}"
