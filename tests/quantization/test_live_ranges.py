"""Ranges that end where the readers of a tensor tell no values apart: HardSwish and its like."""

import sys

import numpy as np
import pytest

import tinyint
from tests.graph.build import build
from tinyint import qat
from tinyint.numbers.numerics import INT8, UINT8, sqnr_db
from tinyint.numbers.observers import Summary
from tinyint.numbers.scheme import Scheme
from tinyint.quantization.ranges import RangeMethod, find_range
from tinyint.runtimes import get_runtime

U8 = Scheme(qtype=UINT8, symmetric=False)
NUMBERS = {"three": 3, "zero": 0, "six": 6}
LIVE = (-3.0, float("inf"))
SWISH = "a = Add (t, three) c = Clip (a, zero, six) m = Mul (t, c) s = Div (m, six)"
TEXT = "net (float[N,3,8,8] x) => (float[N,4,8,8] y) {{ t = Conv <pads = [1,1,1,1]> (x, w, b) {} y = Conv (s, v) }}"


def summary(values) -> Summary:
    made, array = Summary(), np.asarray(values, np.float32)
    made.update(float(array.min()), float(array.max()), array, b"k")
    return made


@pytest.mark.parametrize(
    "algorithm", ["minmax", "percentile", "mse", "kl", "emd", "average", "moving_average"]
)
def test_a_range_ends_half_a_step_beyond_what_is_told_apart(algorithm):
    values = np.concatenate([np.full(500, -40.0), np.linspace(-3, 7, 1000)])
    lo, hi = find_range(summary(values), RangeMethod(algorithm=algorithm), U8, LIVE)
    assert -3 - (hi + 3) / 500 <= lo <= 0
    if algorithm in ("minmax", "mse"):
        assert lo == pytest.approx(-3 - 10 / 510, rel=0.02)
        assert hi == pytest.approx(7, rel=0.02)


def test_absmax_is_symmetric_about_zero_all_the_same():
    values = np.concatenate([np.full(500, -40.0), np.linspace(-3, 7, 1000)])
    assert find_range(summary(values), RangeMethod(algorithm="absmax"), U8, LIVE) == (-7.0, 7.0)


def test_what_lies_within_is_ranged_as_before():
    values = np.linspace(-2, 7, 1000)
    for algorithm in ("minmax", "mse"):
        method = RangeMethod(algorithm=algorithm)
        assert find_range(summary(values), method, U8, LIVE) == find_range(summary(values), method, U8)


def test_symmetric_codes_reach_as_far_as_the_larger_end():
    values = np.concatenate([np.full(500, -40.0), np.linspace(-3, 2, 1000)])
    scheme = Scheme(qtype=INT8, symmetric=True)
    lo, hi = find_range(summary(values), RangeMethod(algorithm="minmax"), scheme, LIVE)
    assert max(-lo, hi) < 3.1


def network(swish: str = SWISH):
    """Half of the first convolution's channels lie far below -3."""
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    bias = np.array([-60.0, 0.0, -45.0, 1.0], np.float32)
    numbers = {n: np.float32(v) for n, v in NUMBERS.items()} if swish is SWISH else {}
    return build(TEXT.format(swish), w=weight, b=bias, v=(4, 4, 1, 1), **numbers)


def data(count: int = 16):
    return np.random.default_rng(1).normal(size=(count, 3, 8, 8)).astype(np.float32)


def sqnr(model, made) -> float:
    sessions = [get_runtime("onnxruntime").open(m, optimize=False) for m in (model, made)]
    expected, found = (next(iter(s.run({"x": data()}).values())) for s in sessions)
    return sqnr_db(expected, found)


@pytest.mark.parametrize("target", ["x86-vnni", "generic"])
def test_no_codes_are_spent_on_what_hard_swish_makes_zero(target, monkeypatch):
    def error_db() -> float:
        run = tinyint.Run(verify=False)
        return sqnr(network(), tinyint.quantize(network(), data(), target=target, run=run).model)

    found = error_db()
    monkeypatch.setattr(sys.modules["tinyint.quantization.plan"], "live_range", lambda _: None)
    assert found > error_db() + 5


def test_comparison_takes_what_readers_do_not_see_for_right():
    made = tinyint.quantize(network(), data(), target="x86-vnni", run=tinyint.Run(verify=False)).model
    rows = {row.name: row for row in tinyint.compare(network(), made, data()).rows}
    assert rows["t"].local_db > 35


def test_training_starts_from_the_same_range_and_keeps_to_it():
    module = qat.prepare(network(), data(), target="x86-vnni")
    made = tinyint.quantize(network(), data(), target="x86-vnni", run=tinyint.Run(verify=False)).model
    assert sqnr(network(), qat.export(module.eval())) == pytest.approx(sqnr(network(), made), abs=0.1)
    import torch

    module.train()
    for _ in range(3):
        module(torch.tensor(data())).sum().backward()
    assert sqnr(network(), qat.export(module.eval())) > 20
