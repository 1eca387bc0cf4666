"""Batch norms that are trained: the arithmetic beside torch's own, and the exported model beside `eval()`."""

import copy

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from tests.graph.build import build
from tests.models import noise, residual
from tests.processor import OWN
from tests.qat.test_export import assert_agree, in_torch, lsb_of, on_runtime
from tinyint import qat
from tinyint.data import Sample
from tinyint.errors import DataError, ModelError, RecipeError
from tinyint.graph.prepare import prepare_float
from tinyint.loading import load
from tinyint.qat import QatModule, QatSettings, export, reestimate
from tinyint.qat.batch_norm.modules import BatchNorm, Fold, FoldedBatchNorm
from tinyint.qat.export import to_float
from tinyint.quantization import qdq
from tinyint.quantization.calibration import CalibrationRecord, calibrate
from tinyint.quantization.recipe import Recipe


class Block(nn.Module):
    """As in a MobileNetV2; with a batch norm that stands alone, and operators with and without bias before theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.expand, self.bn1 = nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8)
        self.depth, self.bn2 = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8)
        self.alone = nn.BatchNorm2d(8, momentum=0.3)
        self.project, self.bn3 = nn.Conv2d(8, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.up, self.bn4 = nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2, bias=False), nn.BatchNorm2d(6)
        self.fc, self.bn5, self.last = nn.Linear(6, 10), nn.BatchNorm1d(10), nn.Linear(10, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = nn.functional.relu6(self.bn1(self.expand(x)))
        y = self.alone(nn.functional.relu(self.bn2(self.depth(y))))
        y = x + self.bn3(self.project(y))
        y = nn.functional.relu(self.bn4(self.up(y)))
        return self.last(nn.functional.relu(self.bn5(self.fc(y.mean((2, 3))))))


@pytest.fixture(scope="module")
def block() -> ir.Model:
    torch.manual_seed(3)
    net = Block()
    for part in net.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(part.weight, 1.0, 0.4)
            nn.init.normal_(part.bias, 0.0, 0.4)
            nn.init.normal_(part.running_mean, 0.0, 0.3)
            nn.init.uniform_(part.running_var, 0.3, 2.0)
    return load(net, (torch.randn(2, 4, 8, 8),))


def record(model: ir.Model) -> CalibrationRecord:
    graph, fingerprint = prepare_float(model)
    return calibrate(graph, [Sample(feeds) for feeds in noise(graph, 8)], fingerprint=fingerprint, threads=1)


def prepared(
    model: ir.Model, target: str = "x86-vnni", recipe: str | Recipe = "default", **settings: object
) -> QatModule:
    chosen = QatSettings.model_validate({"batch_norm": "trained"} | settings)
    return qat.prepare(model, record(model), recipe=recipe, target=target, settings=chosen)


def images(model: ir.Model, count: int = 16, seed: int = 7) -> torch.Tensor:
    return torch.tensor(np.concatenate([feeds["x"] for feeds in noise(model, count, seed)]))


def train(module: QatModule, steps: int = 3) -> QatModule:
    torch.manual_seed(0)
    module.train()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for seed in range(steps):
        optimizer.zero_grad()
        (module(images(module.origin.prepared, seed=seed) * 1.5) - 1.0).square().mean().backward()
        optimizer.step()
    return module.eval()


def test_a_worked_example():
    # W = 2, b = 1, γ = 3, β = 4, μ = 1, σ² = 3.75 + 0.25: a = 3 / 2, W' = 3, b' = 1.5·(1 - 1) + 4
    fold = Fold(epsilon=0.25, axis=0)
    one = [torch.tensor([v]) for v in (1.0, 3.0, 4.0, 1.0, 3.75)]
    weight, bias, factor = fold([torch.tensor([[2.0]]), *one])
    assert (weight.item(), bias.item(), factor.item()) == (3.0, 4.0, 1.5)
    # x = 0, 2: y = 1, 5 and y' = 4, 10; of y the mean is 3 and the variance 4: 3·(±2) / √4.25 + 4
    norm = FoldedBatchNorm(0.25, 0.5, "mean", "var")
    mean, var = one[3], one[4]
    (y,) = norm([torch.tensor([[4.0], [10.0]]), factor, one[2], mean, var])
    torch.testing.assert_close(y, torch.tensor([[4 - 6 / 4.25**0.5], [4 + 6 / 4.25**0.5]]))
    assert [float(v) for v in norm.take_seen()] == [3.0, 8.0, 2.0]  # the variance unbiased


OPERATORS = {
    "convolution": (nn.Conv2d(3, 6, 3), 0),
    "without bias": (nn.Conv2d(3, 6, 3, bias=False), 0),
    "depthwise": (nn.Conv2d(3, 6, 3, groups=3), 0),
    "transposed in groups": (nn.ConvTranspose2d(3, 6, 3, groups=3), 1),
    "linear": (nn.Sequential(nn.Flatten(), nn.Linear(108, 6)), 0),
}


@pytest.mark.parametrize("kind", OPERATORS)
def test_without_rounding_it_trains_as_the_batch_norm_does(kind):
    torch.manual_seed(1)
    whole, axis = copy.deepcopy(OPERATORS[kind])
    operator = whole[1] if isinstance(whole, nn.Sequential) else whole
    norm: nn.Module = nn.BatchNorm1d(6) if kind == "linear" else nn.BatchNorm2d(6)
    nn.init.normal_(norm.weight, 0.0, 1.0)
    nn.init.normal_(norm.bias)
    nn.init.uniform_(norm.running_var, 0.3, 3.0)
    own, own_norm = copy.deepcopy(operator), copy.deepcopy(norm)
    x, ours = (
        torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(2)).requires_grad_() for _ in "ab"
    )

    expected = norm(whole(x))
    slope = torch.randn_like(expected)
    (expected * slope).sum().backward()

    fold = Fold(epsilon=norm.eps, axis=axis, groups=3 if axis else 1)
    statistics = [own_norm.weight, own_norm.bias, own_norm.running_mean, own_norm.running_var]
    weight, bias, factor = fold([own.weight, own.bias, *statistics])
    # what the int8 kernel would compute, with a bias in any case
    raw = nn.Linear(1, 1) if kind == "linear" else copy.deepcopy(own)
    raw.bias = nn.Parameter(torch.zeros(6))
    given = ours.flatten(1) if kind == "linear" else ours
    y = torch.func.functional_call(raw, {"weight": weight, "bias": bias}, (given,))
    step = FoldedBatchNorm(norm.eps, norm.momentum, "", "")
    (found,) = step([y, factor, *statistics[1:]])
    (found * slope).sum().backward()

    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.grad, x.grad, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(own.weight.grad, operator.weight.grad, rtol=1e-3, atol=1e-4)
    for name in ("weight", "bias"):
        torch.testing.assert_close(
            getattr(own_norm, name).grad, getattr(norm, name).grad, rtol=1e-3, atol=1e-4
        )
    mean, variance, count = step.take_seen()
    before = own_norm.running_mean, own_norm.running_var
    torch.testing.assert_close(before[0].lerp(mean.float(), 0.1), norm.running_mean, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(before[1].lerp(variance.float(), 0.1), norm.running_var, rtol=1e-4, atol=1e-6)
    assert count == expected.numel() / 6


def test_one_that_stands_alone_trains_as_torch_does():
    torch.manual_seed(1)
    norm = nn.BatchNorm1d(4)
    other, x = copy.deepcopy(norm), torch.randn(6, 4, 5)
    step = BatchNorm(norm.eps, norm.momentum, "", "")
    (found,) = step([x, other.weight, other.bias, other.running_mean, other.running_var])
    torch.testing.assert_close(found, norm(x))
    torch.testing.assert_close(torch.lerp(torch.ones(4), step.seen[1].float(), 0.1), norm.running_var)


def test_before_training_it_computes_what_the_folded_module_does(block):
    folded = qat.prepare(block, record(block), target="x86-vnni").eval()
    trained = prepared(block).eval()
    x = images(block)
    assert torch.equal(trained(x), folded(x))
    assert qdq.read(export(trained)) == qdq.read(export(folded))
    for name, value in folded.origin.prepared.graph.initializers.items():
        now = to_float(trained).graph.initializers[name]
        np.testing.assert_array_equal(now.const_value.numpy(), value.const_value.numpy(), name)


def test_parameters_and_statistics_keep_their_names(block):
    module = prepared(block)
    parts = [f"{bn}.{part}" for bn in ("bn1", "alone", "bn5") for part in ("weight", "bias")]
    assert {*parts, "expand.weight", "depth.bias"} <= dict(module.named_parameters()).keys()
    assert {"bn1.running_mean", "alone.running_var"} <= dict(module.named_buffers()).keys()
    assert "expand.bias" not in module.state_dict()
    source = block.graph.initializers["expand.weight"].const_value.numpy()
    np.testing.assert_array_equal(module.expand.weight.detach().numpy(), source)


@pytest.mark.parametrize("target", ["x86-vnni", "x86-avx2", "openvino", "tensorrt"])
def test_eval_is_the_exported_model_op_by_op(block, target):
    module = train(prepared(block, target))
    exported, samples = export(module), noise(block, 8, seed=2)
    simulated = on_runtime("onnxruntime", exported, samples, optimize=False)
    assert_agree(in_torch(module, samples), simulated, lsb_of(exported, simulated))


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({"weights": "lsq", "activations": "lsq+"}, []),
        ({"freeze_oscillating": 0.01}, []),
        ({}, ["weights.granularity=per_tensor"]),
        ({}, ["skip=[/depth/Conv]"]),
    ],
    ids=["learned", "held codes", "per tensor", "an operator in float"],
)
def test_eval_is_the_exported_model_whatever_is_chosen(block, settings, changes):
    recipe = Recipe.load("default").with_settings(changes)
    module = train(prepared(block, recipe=recipe, **settings), steps=6)
    reestimate(module, [images(block)])
    exported, samples = export(module), noise(block, 8, seed=2)
    simulated = on_runtime("onnxruntime", exported, samples, optimize=False)
    assert_agree(in_torch(module, samples), simulated, lsb_of(exported, simulated))


@pytest.mark.parametrize(("target", "runtime"), OWN.items())
def test_eval_is_what_runs(block, target, runtime):
    module = train(prepared(block, target))
    exported, samples = export(module), noise(block, 8, seed=2)
    ours = in_torch(module, samples)
    assert_agree(on_runtime(runtime, exported, samples), ours, lsb_of(exported, ours))


def test_the_float_model_has_what_was_trained(block):
    module = train(prepared(block, activations="absmax"))
    samples = noise(block, 8, seed=2)
    trained = on_runtime("onnxruntime", to_float(module), samples)
    before = on_runtime("onnxruntime", block, samples)
    ours = in_torch(module, samples)
    assert np.square(trained - ours).sum() < 0.02 * np.square(before - ours).sum()


def test_gradients_reach_every_parameter(block):
    module = prepared(block)
    module(images(block)).square().sum().backward()
    without = {"depth.bias", "fc.bias"}  # a batch norm takes away what they add
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert name in without or parameter.grad.abs().sum() > 0.1, name


def test_training_moves_the_statistics_until_they_freeze(block):
    module = prepared(block, freeze_statistics_after=2)
    x, means = images(block), []
    for _ in range(4):
        module(x * 2)
        means.append(module.bn1.running_mean.clone())
    assert not torch.equal(means[0], means[1])
    assert torch.equal(means[1], means[3])
    assert module.statistics_frozen
    assert not module.frozen  # ranges are another matter
    module.freeze()
    y = module(x)
    torch.testing.assert_close(y, module.eval()(x), rtol=0, atol=0.02)  # of which 0.01 is about an LSB
    y.square().sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_statistics_of_the_float_model_may_stay(block):
    module = prepared(block, freeze_statistics_after=0)
    before = [statistic.clone() for statistic in module.statistics()]
    train(module)
    assert all(map(torch.equal, before, module.statistics()))


def test_channels_that_say_nothing_keep_their_statistics(block):
    module = prepared(block)
    with torch.no_grad():
        module.bn1.weight[0], module.bn1.bias[0] = 0.0, 1.0  # switched off
        module.expand.weight[1] = 0.0  # dead
    before = module.bn1.running_mean.clone(), module.bn1.running_var.clone()
    module(images(block)).square().sum().backward()
    for now, was in zip((module.bn1.running_mean, module.bn1.running_var), before, strict=True):
        assert torch.equal(now[:2], was[:2])
        assert not torch.equal(now[2:], was[2:])
    assert all(torch.isfinite(p.grad).all() for p in module.parameters())
    assert module.bn1.weight.grad[0] != 0  # it may come back


def test_a_state_is_taken_up_where_it_was_left(block):
    module = train(prepared(block, freeze_statistics_after=2))
    other = prepared(block, freeze_statistics_after=2)
    other.load_state_dict(module.state_dict())
    x = images(block)
    assert other.statistics_frozen
    assert torch.equal(other.eval()(x), module(x))


def test_a_copy_has_statistics_of_its_own(block):
    module = prepared(block)
    other = copy.deepcopy(module)
    other(images(block))
    other.freeze_statistics()
    assert not torch.equal(other.bn1.running_mean, module.bn1.running_mean)
    assert not module.statistics_frozen


def test_batch_norms_that_share_constants_are_trained_apart():
    text = """net (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] y) {
      a = Conv (x, w)  b = BatchNormalization (a, one, zero, zero, one)  c = Relu (b)
      d = BatchNormalization (c, one, zero, zero, one)  e = Relu (d)  y = BatchNormalization (e, one, zero, zero, one)
    }"""
    model = build(text, w=(4, 4, 1, 1), one=np.ones(4, np.float32), zero=np.zeros(4, np.float32))
    module = train(prepared(model))
    assert len({tensor.data_ptr() for tensor in module.statistics()}) == 6
    exported, samples = export(module), noise(model, 4, seed=2)
    simulated = on_runtime("onnxruntime", exported, samples, optimize=False)
    assert_agree(in_torch(module, samples), simulated, lsb_of(exported, simulated))


def test_only_the_last_of_several_maps_is_trained():
    text = """net (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] y) {
      a = Conv (x, w)  b = BatchNormalization (a, s, t, m, v)  c = Mul (b, two)
      d = BatchNormalization (c, s2, t2, m2, v2)  e = Relu (d)
      f = Conv (e, u)  g = BatchNormalization (f, s3, t3, m3, v3)  y = Mul (g, two)
    }"""
    variance = np.array([0.5, 1.0, 2.0, 3.0], np.float32)
    weights = {f"{kind}{i}": (4,) for kind in "stm" for i in ("", 2, 3)} | {
        f"v{i}": variance for i in ("", 2, 3)
    }
    model = build(text, w=(4, 4, 1, 1), u=(4, 4, 1, 1), two=np.array(2.0, np.float32), **weights)
    module = prepared(model)
    assert set(module.norms) == {"BatchNormalization_0"}
    assert module.paths.keys() == {"w", "w.bias", "s2", "t2", "m2", "v2", "u", "u.bias"}
    folded = qat.prepare(model, record(model), target="x86-vnni").eval()
    assert torch.equal(module.eval()(images(model)), folded(images(model)))


def test_without_a_batch_norm_there_is_nothing_to_train():
    with pytest.raises(ModelError, match=r"no batch norm that could be trained.*TrainingMode.PRESERVE"):
        prepared(residual())


@pytest.mark.parametrize("key", ["freeze_statistics_after", "reestimation_batches"])
def test_settings_without_effect_are_refused(key):
    with pytest.raises(RecipeError, match=f"`{key}` has no effect with `batch_norm: folded`"):
        QatSettings.model_validate({key: 5})


def test_reestimated_statistics_are_the_average_over_all_samples():
    text = """net (float[N, 4] x) => (float[N, 4] y) {
      a = Relu (x)  b = BatchNormalization (a, s, t, m, v)  c = Gemm (b, w)  y = Relu (c)
    }"""
    model = build(text, s=(4,), t=(4,), m=(4,), v=np.ones(4, np.float32), w=(4, 4))
    module = prepared(model).train()
    scales = {name: quantizer.scale.clone() for name, quantizer in module.activations.items()}
    x = torch.rand(12, 4)
    given = module.activations["x"]([x])[0] if "x" in module.activations else x
    assert reestimate(module, [(x[:8], "labels"), {"x": x[8:].numpy()}]) == 2
    first, second = given[:8].relu(), given[8:].relu()
    torch.testing.assert_close(module.m, given.relu().mean(0))
    torch.testing.assert_close(module.v, (first.var(0) * 8 + second.var(0) * 4) / 12)
    assert module.training
    assert all(part.training for part in module.modules())
    assert module.steps_done == 0
    assert all(torch.equal(module.activations[name].scale, scale) for name, scale in scales.items())


def test_reestimation_repairs_statistics_that_are_off():
    torch.manual_seed(2)
    net = nn.Sequential(
        nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)
    )
    net.train()(torch.randn(64, 4, 8, 8))
    module = prepared(load(net, (torch.randn(2, 4, 8, 8),)))
    x = torch.randn(64, 4, 8, 8)
    module.train()
    with torch.no_grad():
        expected = copy.deepcopy(module)(x)
        for statistic in module.statistics():
            statistic.mul_(1.6)
        module.eval()
        before = (module(x) - expected).square().mean()
        assert reestimate(module, x.split(16)) == 4
        assert (module(x) - expected).square().mean() < 0.01 * before
    assert not module.training


def test_the_settings_say_from_how_many_batches(block):
    module = prepared(block, reestimation_batches=3)
    endless = iter(lambda: images(block, 2), None)
    assert reestimate(module, endless) == 3
    assert reestimate(module, endless, batches=5) == 5


def test_what_cannot_be_reestimated_is_refused(block):
    module = prepared(block)
    kept = [statistic.clone() for statistic in module.statistics()]
    with pytest.raises(DataError, match="no data"):
        reestimate(module, [])
    with pytest.raises(DataError, match=r"is a dict; expected the inputs \['x'\]"):
        reestimate(module, [images(block), {"image": images(block)}])
    assert all(map(torch.equal, kept, module.statistics()))
    assert not any(norm.estimating for norm in module.norms.values())
    with pytest.raises(RecipeError, match='batch_norm="trained"'):
        reestimate(qat.prepare(block, record(block), target="x86-vnni"), [images(block)])
