"""How ranges and codes move in training: small numbers, worked by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyint.errors import RecipeError
from tinyint.numbers.granularity import PerAxis
from tinyint.numbers.numerics import (
    INT8,
    UINT8,
    bias_params,
    dead_channels,
    fake_quantize,
    fit_bias,
    qparams_from_range,
)
from tinyint.numbers.scheme import Scheme
from tinyint.qat.quantizers.activations import ClippingQuantizer, LearnedQuantizer, ObservedQuantizer
from tinyint.qat.quantizers.freezing import OscillationFreezer
from tinyint.qat.quantizers.tracking import RangeTracker
from tinyint.qat.quantizers.weights import WeightQuantizer
from tinyint.qat.settings import QatSettings
from tinyint.quantization.ranges import weight_range

U8 = Scheme(qtype=UINT8, symmetric=False)
S8 = Scheme(qtype=INT8.narrow(), symmetric=True, granularity=PerAxis(0))
HALF = torch.tensor(0.5, dtype=torch.float64)


def params(lo: float, hi: float, scheme: Scheme = U8):
    return qparams_from_range(lo, hi, qtype=scheme.qtype, symmetric=scheme.symmetric)


def observed(
    kind: str, *batches: tuple[float, float], start: tuple[float, float] = (-2.0, 4.0), **settings: object
):
    """The range of a quantizer after batches with these extrema."""
    quantizer = ObservedQuantizer(U8, params(*start))
    tracker = RangeTracker(
        [quantizer], [(0.0, 0.0)], QatSettings.model_validate({"activations": kind, **settings})
    )
    for lo, hi in batches:
        quantizer([torch.tensor([lo, (lo + hi) / 2, hi])])
        tracker.update()
    lo, hi = -tracker.ends[0, 0], tracker.ends[0, 1]
    assert quantizer.qparams() == params(float(lo), float(hi))
    return pytest.approx((float(lo), float(hi)), rel=1e-5, abs=0.03)


def test_moving_average_of_the_extrema():
    assert observed("moving_average", (-4.0, 8.0), rate=0.75) == (-2.5, 5.0)
    assert observed("moving_average", (1.0, 8.0), rate=0.75) == (-1.5, 5.0)  # the range holds zero


def test_moving_average_of_the_largest_magnitude():
    assert observed("moving_average_absmax", (-1.0, 8.0), rate=0.5) == (-5.0, 6.0)
    assert observed("moving_average_absmax", (0.0, 8.0), start=(0.0, 4.0), rate=0.5) == (0.0, 6.0)


def test_largest_magnitude_of_all_batches():
    assert observed("absmax", (-1.0, 6.0), (-3.0, 2.0)) == (-6.0, 6.0)


def test_largest_magnitude_of_the_last_batches():
    assert observed("range_absmax", (-1.0, 6.0), (-3.0, 2.0), window=2) == (-6.0, 6.0)
    assert observed("range_absmax", (-1.0, 6.0), (-3.0, 2.0), (0.0, 1.0), window=2) == (-3.0, 3.0)


@pytest.mark.parametrize("kind", ["moving_average", "absmax", "range_absmax"])
def test_a_batch_that_diverged_leaves_the_range(kind):
    assert observed(kind, (0.0, float("inf"))) == (-2.0, 4.0)
    assert observed(kind, (0.0, float("nan"))) == (-2.0, 4.0)


def test_the_clamp_that_the_quantizer_stands_for_bounds_what_is_observed():
    quantizer = ObservedQuantizer(U8, params(0.0, 6.0), cut=(0.0, 6.0))
    quantizer([torch.tensor([-5.0, 3.0, 9.0])])
    assert quantizer.seen.tolist() == [0.0, 6.0]


def test_evaluation_and_frozen_quantizers_see_nothing():
    quantizer = ObservedQuantizer(U8, params(-2.0, 4.0)).eval()
    quantizer([torch.tensor([-5.0, 9.0])])
    quantizer.train().freeze()
    quantizer([torch.tensor([-5.0, 9.0])])
    assert quantizer.seen.tolist() == [-float("inf")] * 2


def test_tensors_of_one_scale_are_seen_together():
    quantizer = ObservedQuantizer(U8, params(0.0, 1.0))
    for low, high in [(-1.0, 2.0), (-3.0, 1.0)]:
        quantizer([torch.tensor([low, high])])
    assert quantizer.seen.tolist() == [3.0, 2.0]


def test_processes_agree_on_the_extrema_of_all(monkeypatch):
    def other_process(tensor: torch.Tensor, op: object) -> None:
        assert op == torch.distributed.ReduceOp.MAX
        torch.maximum(tensor, torch.tensor([[7.0, 1.0]]), out=tensor)

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", other_process)
    assert observed("moving_average", (-1.0, 8.0), rate=0.5) == (-4.5, 6.0)


def test_a_learned_scale_takes_the_step_that_it_would_take_itself():
    # scale 0.5; x / s = 0.8 and 9 beyond the top code: slopes 0.2 and 7, divided by √(2 · 255)
    scheme = Scheme(qtype=UINT8, symmetric=True)
    quantizer = LearnedQuantizer(scheme, params(0.0, 127.5, scheme), with_offset=False)
    y, scale = quantizer([torch.tensor([0.4, 200.0])])
    assert (y.tolist(), scale.item()) == ([0.5, 127.5], 0.5)
    y.sum().backward()
    slope = (0.2 + 255) / (2 * 255) ** 0.5
    (parameter,) = quantizer.parameters()
    with torch.no_grad():
        parameter -= 0.01 * parameter.grad
    assert float(quantizer.qparams().scale) == pytest.approx(0.5 - 0.01 * slope, rel=1e-5)


def test_a_learned_scale_stays_positive():
    quantizer = LearnedQuantizer(U8, params(-1.0, 1.0), with_offset=True)
    quantizer.ratio.data.fill_(-5.0)
    assert quantizer.qparams().scale > 0


def test_a_learned_offset_is_exported_as_it_is_trained():
    quantizer = LearnedQuantizer(U8, params(-1.0, 1.55), with_offset=True)
    quantizer.offset.data += 3.4  # the zero-point falls from 100 to 96.6
    assert quantizer.qparams().zero_point == 97
    x = torch.linspace(-2, 2, 50)
    y, _ = quantizer([x])
    np.testing.assert_array_equal(y.detach().numpy(), fake_quantize(x.numpy(), quantizer.qparams()))


def test_an_end_at_zero_stays_there():
    quantizer = ClippingQuantizer(U8, params(0.0, 4.0))
    y, _ = quantizer([torch.tensor([-1.0, 2.0, 9.0])])
    y.backward(torch.tensor([5.0, 1.0, 2.0]))
    assert quantizer.ends.grad.tolist() == [0.0, 2.0 / 4.0]
    quantizer.ends.data.fill_(1.5)
    np.testing.assert_allclose(quantizer.qparams().range(), [0.0, 6.0], rtol=1e-6)


def test_pact_starts_from_the_calibrated_scale():
    """A symmetric range has one end, 127 steps from 0, although its lowest code lies 128 steps from it."""
    signed = Scheme(qtype=INT8, symmetric=True)
    quantizer = ClippingQuantizer(signed, params(-127.0, 100.0, signed))
    assert quantizer.qparams().scale == 1.0
    assert quantizer([torch.tensor([-200.0, 200.0])])[0].tolist() == [-128.0, 127.0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: LearnedQuantizer(U8, params(-1.0, 1.0), with_offset=True),
        lambda: ClippingQuantizer(U8, params(-1.0, 1.0)),
    ],
)
def test_frozen_ranges_do_not_move_and_keep_a_gradient_of_zero(make):
    quantizer = make()
    before = quantizer.qparams()
    quantizer.freeze()
    y, _ = quantizer([torch.tensor([-3.0, 0.1, 3.0])])
    y.sum().backward()
    for parameter in quantizer.parameters():
        assert not parameter.grad.any()
        parameter.data += 1.0
    assert quantizer.qparams() == before


@given(hnp.arrays(np.float32, (3, 4), elements=st.floats(-8, 8, width=32)), st.floats(2.0**-10, 4, width=32))
def test_weights_and_biases_equal_numerics(weight, input_scale):
    bias = np.array([1.0, -2.5, 1e9], np.float32)  # the last one would overflow
    start = qparams_from_range(
        *weight_range(weight, "absmax", S8), qtype=S8.qtype, symmetric=True, granularity=PerAxis(0)
    )
    quantizer = WeightQuantizer(S8, start, torch.ones((), dtype=torch.float64), learned=False)
    found = quantizer([torch.tensor(weight), torch.tensor(bias), torch.tensor(input_scale)])
    scale = fit_bias(bias, np.float32(input_scale), start.scale, dead_channels(weight, 0))
    expected = qparams_from_range(
        0 * scale, scale * 127, qtype=S8.qtype, symmetric=True, granularity=PerAxis(0)
    )
    object.__setattr__(expected, "scale", scale)
    np.testing.assert_array_equal(found[0].numpy(), fake_quantize(weight, expected))
    np.testing.assert_array_equal(
        found[1].numpy(), fake_quantize(bias, bias_params(np.float32(input_scale), scale))
    )
    assert quantizer.qparams(torch.tensor(weight), torch.tensor(bias), torch.tensor(input_scale)) == expected


def test_weights_are_followed_and_their_gradient_passes_whole():
    weight = torch.tensor([[1.0, -127.0], [3.0, 2.0]], requires_grad=True)
    start = qparams_from_range(
        [-1.0, -1.0], [1.0, 1.0], qtype=S8.qtype, symmetric=True, granularity=PerAxis(0)
    )
    quantizer = WeightQuantizer(S8, start, torch.ones((), dtype=torch.float64), learned=False)
    (y,) = quantizer([weight])
    assert y[0].tolist() == [1.0, -127.0]
    y.backward(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert weight.grad.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_weights_that_the_recipe_clips_stay_clipped():
    start = qparams_from_range([-1.0], [1.0], qtype=S8.qtype, symmetric=True, granularity=PerAxis(0))
    quantizer = WeightQuantizer(S8, start, HALF, learned=False)
    (y,) = quantizer([torch.tensor([[1.0, -254.0]])])
    assert y.tolist() == [[1.0, -127.0]]


def test_an_oscillating_weight_is_held_at_its_mean_code():
    freezer = OscillationFreezer(torch.zeros(3), threshold=0.02)
    codes = [(4, 0, 1), (5, 1, 1), (4, 2, 1), (5, 3, 1), (5, 4, 1)]
    for step in codes:
        freezer.watch(torch.tensor(step, dtype=torch.float32))
    # The first code turns back at steps 3 and 4: 0.01 + 0.99 · 0.01 = 0.0199 is not above 0.02
    assert freezer.held.tolist() == [False, False, False]
    freezer.watch(torch.tensor([4.0, 5.0, 1.0]))
    assert freezer.held.tolist() == [True, False, False]
    quantized = torch.tensor([10.0, 20.0, 30.0], requires_grad=True)
    held = freezer.hold(quantized, torch.tensor(0.5))
    assert held.tolist() == [2.0, 20.0, 30.0]
    held.sum().backward()
    assert quantized.grad.tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"activation": "lsq"}, "did you mean 'activations'"),
        ({"activations": "lsq", "rate": 0.5}, "`rate` has no effect with `activations: lsq`"),
        ({"window": 3}, "`window` has no effect"),
        ({"freeze_after": -1}, "freeze_after"),
    ],
)
def test_settings_that_say_nothing_are_refused(given, message):
    with pytest.raises(RecipeError, match=message):
        QatSettings.model_validate(given)
