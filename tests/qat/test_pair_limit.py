"""The limit on pairs in training: the codes of the NumPy version, gradients that pass, and an export that keeps it."""

import numpy as np
import onnx_ir as ir
import pytest
import torch

from tests.models import residual
from tests.qat.test_export import trained
from tinyint.evaluate.saturation import saturating_nodes
from tinyint.numerics import INT8, QParams
from tinyint.qat.export import export
from tinyint.qat.pair_limit import PairLimiter
from tinyint.targets import TARGETS, Packing
from tinyint.weight_pairs import LimitedWeight


@pytest.mark.parametrize("inputs", [1, 3, 4])  # listed pairs, and neighbours along an axis
def test_codes_are_those_of_numpy(inputs):
    weight = np.random.default_rng(0).uniform(-1, 1, (8, inputs, 3, 3)).astype(np.float32)
    params = QParams(scale=np.full(8, 1 / 127), zero_point=np.zeros(8), qtype=INT8.narrow(), axis=0)
    limited = LimitedWeight(ir.node("Conv", [], {}), weight, params, tuple(Packing))
    exact = torch.tensor(weight / params.scale.reshape(-1, 1, 1, 1))
    np.testing.assert_array_equal(PairLimiter(limited)(exact).numpy(), limited.codes(params))


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
