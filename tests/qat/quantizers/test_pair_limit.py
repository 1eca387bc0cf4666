"""The limit on pairs in training: the codes of the NumPy version, gradients that pass, and an export that keeps it."""

from types import SimpleNamespace

import numpy as np
import onnx_ir as ir
import pytest
import torch

from tests.models import residual
from tests.qat.test_export import trained
from tinyint.numbers.granularity import PerAxis
from tinyint.numbers.numerics import INT8, QParams, qparams_from_range
from tinyint.numbers.scheme import Scheme
from tinyint.proof.saturation import saturating_nodes
from tinyint.qat.export import export
from tinyint.qat.quantizers import pair_limit
from tinyint.qat.quantizers.pair_limit import PairLimiter
from tinyint.qat.quantizers.weights import WeightQuantizer
from tinyint.quantization.ranges.pair_sums import PairLimit, limit_codes
from tinyint.quantization.weight_pairs import LimitedWeight
from tinyint.targets import TARGETS, Packing

ONE = torch.ones(())


@pytest.mark.parametrize("inputs", [1, 3, 4])  # listed pairs, and neighbours along an axis
def test_codes_are_those_of_numpy(inputs):
    weight = np.random.default_rng(0).uniform(-1, 1, (8, inputs, 3, 3)).astype(np.float32)
    params = QParams(
        scale=np.full(8, 1 / 127), zero_point=np.zeros(8), qtype=INT8.narrow(), granularity=PerAxis(0)
    )
    limited = LimitedWeight(ir.node("Conv", [], {}), weight, params, tuple(Packing))
    exact = torch.tensor(weight / params.scale.reshape(-1, 1, 1, 1))
    np.testing.assert_array_equal(PairLimiter(limited)(exact, ONE).numpy(), limited.codes(params))


@pytest.mark.parametrize("target", ["x86-avx2", "openvino-avx2"])
@pytest.mark.parametrize(
    "settings", [{}, {"weights": "lsq"}, {"freeze_oscillating": 1e-6}], ids=["plain", "lsq", "frozen"]
)
def test_what_is_trained_under_the_limit_is_exported_under_it(target, settings):
    module = trained(residual(), target, **settings)
    assert saturating_nodes(export(module), TARGETS[target]) == []


def test_gradients_pass_pairs_that_were_moved():
    module = trained(residual(), "x86-avx2", steps=0).train()
    module(torch.ones(1, 3, 16, 16)).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


def limiter(axis: int | None, *pairs: np.ndarray) -> PairLimiter:
    weight = SimpleNamespace(
        bound=PairLimit(pairs=(), limit=128, largest=127), pair_axis=axis, listed_pairs=lambda: pairs
    )
    return PairLimiter(weight)


@pytest.mark.parametrize("limit", [limiter(1), limiter(None, np.array([[0, 1], [2, 3]]))])
def test_neighbours_move_to_the_nearest_codes_within(limit):
    # 100.4 + 60 is over 128: half of what they differ by on each side of 64. -90 and 100 never overflow.
    assert limit(torch.tensor([[100.4, 60.0, -90.0, 100.0]]), ONE).tolist() == [[84.0, 44.0, -90.0, 100.0]]
    assert limit(torch.tensor([[-100.4, -60.0, 127.0, 1.0]]), ONE).tolist() == [[-84.0, -44.0, 127.0, 1.0]]


@pytest.mark.parametrize(("shape", "axis"), [((5, 6, 3, 3), 1), ((5, 6, 1, 1), 1), ((5, 6), 1), ((6, 5), 0)])
@pytest.mark.parametrize("strided", [False, True])
def test_views_of_a_weight_give_the_codes_of_its_rows(shape, axis, strided):
    exact = np.random.default_rng(0).normal(0, 80, shape).astype(np.float32)
    rows = np.moveaxis(exact, axis, -1).reshape(-1, shape[axis])
    pairs = np.arange(shape[axis]).reshape(-1, 2)
    expected = limit_codes(rows, PairLimit(pairs=(pairs,), limit=128, largest=127))
    x = torch.tensor(exact)
    x = x.transpose(0, 1).contiguous().transpose(0, 1) if strided else x
    found = np.moveaxis(limiter(axis)(x, ONE).numpy(), axis, -1).reshape(rows.shape)
    np.testing.assert_array_equal(found, expected)
    assert (found != np.clip(np.rint(rows), -127, 127)).any()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("per_channel", [0, 1])
def test_a_weight_of_many_blocks_is_that_of_its_codes_times_their_scale(monkeypatch, axis, per_channel):
    draw = np.random.default_rng(1)
    weight = torch.tensor(draw.normal(0, 80, (14, 6, 2, 2)).astype(np.float32))
    shape = (14, 1, 1, 1) if per_channel == 0 else (1, 6, 1, 1)
    step = torch.tensor(draw.uniform(0.5, 2, shape).astype(np.float32))
    whole = limiter(axis)(weight / step, ONE) * step
    monkeypatch.setattr(pair_limit, "_BLOCK", 100)  # four rows of 24
    assert len(list(limiter(axis)._blocks(weight))) == 4
    assert torch.equal(limiter(axis)(weight, step), whole)
    assert not torch.equal(whole, (weight / step).round().clamp(-127, 127) * step)


def test_the_gradient_passes_to_weights_that_were_moved():
    weight = torch.tensor([[1.0, 0.9, -0.2, 0.3]], requires_grad=True)
    scheme = Scheme(qtype=INT8.narrow(), symmetric=True, granularity=PerAxis(0))
    params = qparams_from_range(
        np.array([-1.0]), np.array([1.0]), qtype=scheme.qtype, symmetric=True, granularity=PerAxis(0)
    )
    # a share that a division has left just below 1 clips nothing
    quantizer = WeightQuantizer(
        scheme, params, torch.tensor([1.0 - 1e-9], dtype=torch.float64), learned=False
    )
    assert not quantizer.clips
    quantizer.limiter = limiter(1)
    (quantized,) = quantizer([weight])
    # 127 and 114.3 codes, over by 113.3 in all
    assert torch.round(quantized * 127).tolist() == [[70.0, 58.0, -25.0, 38.0]]
    quantized.sum().backward()
    assert weight.grad.tolist() == [[1.0, 1.0, 1.0, 1.0]]
