"""Fake quantization against `numerics`, code for code, and its gradients against numbers worked by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyint.numbers.granularity import PerAxis, per_axis
from tinyint.numbers.numerics import INT7, INT8, UINT8, QParams, QType, fake_quantize, qparams_from_range
from tinyint.qat import arithmetic
from tinyint.qat.quantizers import fake_quant as fq

FORMATS = [UINT8, INT8, INT8.narrow(), INT7, INT7.narrow()]


def bounds(params: QParams, dims: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scale, qmin - z and qmax - z as tensors that broadcast."""
    zero_point = torch.tensor(params.zero_point.astype(np.float32))
    values = torch.tensor(params.scale), params.qtype.qmin - zero_point, params.qtype.qmax - zero_point
    scale, lower, upper = (arithmetic.along(v, params.axis, dims) for v in values)
    return scale, lower, upper


def values_for(params: QParams, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Numbers in and beyond the range, half of them at or next to the ties between two codes."""
    generator = np.random.default_rng(seed)
    lo, hi = (a.reshape([-1 if i == params.axis else 1 for i in range(len(shape))]) for a in params.range())
    x = generator.uniform(lo - (hi - lo) / 4, hi + (hi - lo) / 4, shape).astype(np.float32)
    scale = params.scale.reshape(lo.shape)
    ties = ((np.floor(x / scale) + np.float32(0.5)) * scale).astype(np.float32)
    ties = np.choose(
        generator.integers(3, size=shape), [ties, np.nextafter(ties, hi), np.nextafter(ties, lo)]
    )
    return np.where(generator.random(shape) < 0.5, x, ties).astype(np.float32)


qtypes = st.sampled_from(FORMATS)
ends = st.floats(2.0**-20, 2.0**20, width=32)


@settings(max_examples=200, deadline=None)
@given(qtypes, st.booleans(), ends, ends, st.booleans(), st.integers(0, 2**31))
def test_per_tensor_equals_numerics(qtype, symmetric, low, high, one_sided, seed):
    params = qparams_from_range(0.0 if one_sided else -low, high, qtype=qtype, symmetric=symmetric)
    x = values_for(params, (3, 5, 4, 4), seed)
    found = fq.fake_quantize(torch.tensor(x), *bounds(params, 4))
    np.testing.assert_array_equal(found.numpy(), fake_quantize(x, params))


@settings(max_examples=100, deadline=None)
@given(qtypes, st.booleans(), st.lists(st.tuples(ends, ends), min_size=3, max_size=3), st.integers(0, 2**31))
def test_per_channel_equals_numerics(qtype, symmetric, ranges, seed):
    low, high = np.transpose(ranges)
    params = qparams_from_range(-low, high, qtype=qtype, symmetric=symmetric, granularity=PerAxis(1))
    x = values_for(params, (2, 3, 7), seed)
    found = fq.fake_quantize(torch.tensor(x), *bounds(params, 3))
    np.testing.assert_array_equal(found.numpy(), fake_quantize(x, params))


def test_a_product_with_the_reciprocal_would_not_do():
    # The reason why torch's own operator is not used: it decides ties between codes by x · (1 / s).
    params = qparams_from_range(0.0, 1.7, qtype=UINT8, symmetric=False)
    x = values_for(params, (20_000,), 0)
    theirs = torch.fake_quantize_per_tensor_affine(torch.tensor(x), float(params.scale), 0, 0, 255).numpy()
    ours = fq.fake_quantize(torch.tensor(x), *bounds(params, 1)).numpy()
    np.testing.assert_array_equal(ours, fake_quantize(x, params))
    assert (theirs != ours).any()


@pytest.mark.parametrize("layout", ["contiguous", "channels last", "strided"])
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("threads", [1, 5])
def test_blocks_layouts_and_places_agree(layout, in_place, threads, monkeypatch):
    monkeypatch.setattr(fq, "_BLOCK", 100)
    monkeypatch.setattr(fq, "_LEAST", 7)
    monkeypatch.setattr(
        torch, "get_num_threads", lambda: threads
    )  # 768 elements: 5 spans of 153, and 3 left over
    params = qparams_from_range(-1.0, 2.0, qtype=UINT8, symmetric=False)
    x = torch.tensor(values_for(params, (2, 6, 8, 8), 1))
    given = {
        "contiguous": x.clone(),
        "channels last": x.clone(memory_format=torch.channels_last),
        "strided": torch.stack([x, x], dim=-1)[..., 0],
    }[layout]
    expected = fake_quantize(x.numpy(), params)
    leaf = given.requires_grad_()
    fed = leaf * 1.0 if in_place else leaf
    found = fq.fake_quantize(fed, *bounds(params, 4), in_place=in_place)
    np.testing.assert_array_equal(found.detach().numpy(), expected)
    assert (found.data_ptr() == fed.data_ptr()) == in_place
    found.sum().backward()
    inside = (x / float(params.scale)).round().clamp(-85, 170) == (x / float(params.scale)).round()
    assert torch.equal(leaf.grad, inside.float())


@pytest.mark.parametrize("axis", [0, 1, 3])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("block", [1, 100, 1 << 20])
def test_rows_of_channels_agree_block_by_block(axis, symmetric, layout, block, monkeypatch):
    monkeypatch.setattr(fq, "_BLOCK", block)
    shape = (7, 6, 3, 5)
    low, high = np.random.default_rng(0).uniform(0.1, 3.0, (2, shape[axis]))
    params = qparams_from_range(-low, high, qtype=INT8, symmetric=symmetric, granularity=per_axis(axis))
    values = values_for(params, shape, 1)
    x = torch.tensor(values).contiguous(memory_format=layout).requires_grad_()
    scale, lower, upper = bounds(params, 4)
    found = fq.fake_quantize(x, scale, lower, upper)
    np.testing.assert_array_equal(found.detach().numpy(), fake_quantize(values, params))
    found.sum().backward()
    codes = torch.round(x.detach() / scale)
    assert torch.equal(x.grad, ((lower <= codes) & (codes <= upper)).float())
    assert 0.0 < x.grad.mean() < 1.0


def test_the_gradient_stops_where_the_code_is_clipped():
    # scale 0.5, codes 0 … 4: 2.2 rounds to code 4 and passes, 2.3 would be code 5; -0.2 rounds to 0, -0.3 to -1
    x = torch.tensor([-0.3, -0.2, 1.0, 2.2, 2.3], requires_grad=True)
    y = fq.fake_quantize(x, torch.tensor(0.5), torch.tensor(0.0), torch.tensor(4.0))
    assert y.tolist() == [0.0, 0.0, 1.0, 2.0, 2.0]
    y.backward(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert x.grad.tolist() == [0.0, 2.0, 3.0, 4.0, 0.0]


def test_lsq_gradient_of_the_scale():
    # v / s = [-3, 0.8, 1.3, 9], codes -2 … 7: slopes [-2, 0.2, -0.3, 7], Σ = 4.9, N = 4, Q_P = 7: g = 1 / √28
    s = torch.tensor(0.5, requires_grad=True)
    v = torch.tensor([-1.5, 0.4, 0.65, 4.5], requires_grad=True)
    y = fq.fake_quantize_learned(v, s, None, torch.tensor(-2.0), torch.tensor(7.0), 7)
    assert y.tolist() == [-1.0, 0.5, 0.5, 3.5]
    y.sum().backward()
    assert s.grad.item() == pytest.approx(4.9 / 28**0.5, rel=1e-5)
    assert v.grad.tolist() == [0.0, 1.0, 1.0, 0.0]


def test_lsq_gradient_per_channel():
    s = torch.tensor([[0.5], [2.0]], requires_grad=True)
    v = torch.tensor([[0.4, 0.65], [1.0, 5.0]])
    fq.fake_quantize_learned(v, s, None, torch.tensor(-2.0), torch.tensor(2.0), 2).sum().backward()
    # rows: 0.2 - 0.3; 0.5 rounds to 0: -0.5, and 2.5 to 2: -0.5. N = 2, Q_P = 2: g = 1 / 2
    np.testing.assert_allclose(s.grad.numpy(), [[-0.05], [-0.5]], rtol=1e-5)


def test_lsq_plus_gradient_of_the_offset():
    s, beta = torch.tensor(0.5), torch.tensor(-1.0, requires_grad=True)
    v = torch.tensor([-1.5, 0.4, 0.65, 4.5])
    y = fq.fake_quantize_learned(v, s, beta, torch.tensor(-2.0), torch.tensor(7.0), 7)
    y.backward(torch.tensor([3.0, 1.0, 1.0, 5.0]))
    assert beta.grad.item() == pytest.approx((3 + 5) / 28**0.5)


def test_lsq_gradients_are_the_same_block_by_block(monkeypatch):
    x = torch.tensor(np.random.default_rng(0).normal(size=(2, 3, 5, 7)).astype(np.float32))
    weight = torch.rand(x.shape)
    found = []
    monkeypatch.setattr(fq, "_LEAST", 1)
    for block in (10, 1000):
        monkeypatch.setattr(fq, "_BLOCK", block)
        s, beta = torch.tensor(0.01, requires_grad=True), torch.tensor(-1.0, requires_grad=True)
        v = x.clone().requires_grad_()
        fq.fake_quantize_learned(v, s, beta, torch.tensor(-100.0), torch.tensor(90.0), 255).backward(weight)
        found.append((v.grad, s.grad, beta.grad))
    # channels last, which the gradient is not, goes the plain way
    s, beta = torch.tensor(0.01, requires_grad=True), torch.tensor(-1.0, requires_grad=True)
    v = x.clone(memory_format=torch.channels_last).requires_grad_()
    fq.fake_quantize_learned(v, s, beta, torch.tensor(-100.0), torch.tensor(90.0), 255).backward(weight)
    for other in (found[1], (v.grad, s.grad, beta.grad)):
        for ours, theirs in zip(found[0], other, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_pact_gradients_go_to_the_ends_of_the_range():
    lo, hi = torch.tensor(-1.0, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    x = torch.tensor([-3.0, 0.4, 2.6, 7.0], requires_grad=True)
    y = fq.fake_quantize_clipped(x, lo, hi, torch.tensor(0.5), torch.tensor(-2.0), torch.tensor(4.0))
    assert y.tolist() == [-1.0, 0.5, 2.0, 2.0]
    y.backward(torch.tensor([1.0, 2.0, 4.0, 8.0]))
    assert (lo.grad.item(), hi.grad.item()) == (1.0, 12.0)
    assert x.grad.tolist() == [0.0, 2.0, 0.0, 0.0]


def test_half_precision_is_quantized_in_float32():
    x = torch.tensor([0.30078125], dtype=torch.bfloat16)
    assert fq.fake_quantize(x, torch.tensor(0.1), torch.tensor(0.0), torch.tensor(9.0)).dtype == torch.float32


@pytest.mark.parametrize("qtype", FORMATS)
@pytest.mark.parametrize("symmetric", [False, True])
def test_scales_equal_those_of_numerics(qtype: QType, symmetric: bool):
    generator = np.random.default_rng(3)
    lo = np.append(-generator.uniform(0, 3, 500) * 10.0 ** generator.integers(-44, 30, 500), [0, 0, -1, 0, 1])
    hi = np.append(generator.uniform(0, 3, 500) * 10.0 ** generator.integers(-44, 30, 500), [0, 1, 0, 5, 2])
    params = qparams_from_range(lo, hi, qtype=qtype, symmetric=symmetric, granularity=PerAxis(0))
    scale, zero_point = arithmetic.scale_and_zero_point(
        torch.tensor(lo), torch.tensor(hi), qtype=qtype, symmetric=symmetric
    )
    assert arithmetic.read_qparams(scale, zero_point, qtype, 0) == params
