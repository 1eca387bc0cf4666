"""The module with fake quantization among torch's own machinery: compiled, in mixed precision, copied, in parallel."""

import copy

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from tests.graph.build import build
from tests.qat.batch_norm.test_modules import record
from tinyint import qat
from tinyint.errors import DataError, DivergedError, ModelError, RecipeError
from tinyint.loading import load
from tinyint.qat import QatModule, QatSettings, export
from tinyint.quantization.recipe import Recipe

CHOICES = {
    "folded, observed": {},
    "trained, learned": {"batch_norm": "trained", "activations": "lsq+", "weights": "lsq"},
}


@pytest.fixture(scope="module")
def small() -> ir.Model:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 4),
    )
    return load(net, (torch.randn(2, 3, 8, 8),))


@pytest.fixture(params=CHOICES)
def module(small, request) -> QatModule:
    settings = QatSettings.model_validate(CHOICES[request.param])
    return qat.prepare(small, record(small), target="x86-vnni", settings=settings)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def step(module: nn.Module, own: QatModule, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Gradients after a step, and the state that it leaves."""
    module(x).square().sum().backward()
    state = {key: value for key, value in own.state_dict().items() if isinstance(value, torch.Tensor)}
    return state | {f"{name} grad": p.grad for name, p in own.named_parameters()}


@pytest.mark.filterwarnings("ignore")  # the compiler warns about itself
def test_compiled_it_takes_the_same_steps(module, x):
    torch._dynamo.reset()
    other = copy.deepcopy(module)
    compiled = torch.compile(module, backend="aot_eager")
    for _ in range(2):
        found, expected = step(compiled, module, x), step(other, other, x)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-3, msg=name)
    assert module.steps_done == 2
    assert torch.equal(module.eval()(x), compiled(x))


def test_mixed_precision_trains_and_leaves_the_parameters_in_float32(module, x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = module(x)
    low.float().square().sum().backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.dtype == torch.float32 for p in module.parameters())
    assert all(tensor.dtype == torch.float32 for tensor in module.statistics())
    torch.testing.assert_close(low.float(), copy.deepcopy(module)(x), rtol=0.1, atol=0.1)


@pytest.mark.filterwarnings("ignore")  # gloo warns about the host's name
def test_in_parallel_every_parameter_is_used_until_all_is_frozen(module, x, tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        parallel = nn.parallel.DistributedDataParallel(module)
        for i in range(4):  # a step fails if a parameter had no gradient in the one before
            parallel(x).sum().backward()
            if i == 1:
                module.freeze()
                module.freeze_statistics()
    finally:
        torch.distributed.destroy_process_group()
    assert all(p.grad is not None for p in module.parameters())


def test_a_copy_trains_without_the_original(module, x):
    before = {k: v.clone() for k, v in module.state_dict().items() if isinstance(v, torch.Tensor)}
    step(copy.deepcopy(module), module, x * 5)
    assert all(torch.equal(module.state_dict()[name], value) for name, value in before.items())


def test_a_learned_scale_stays_positive_and_finds_back(small, x):
    module = qat.prepare(
        small, record(small), target="x86-vnni", settings=QatSettings(activations="lsq", weights="lsq")
    )
    learned = [
        q
        for q in (*module.activations.values(), *module.weights.values())
        if getattr(q, "ratio", None) is not None
    ]
    for quantizer in learned:
        quantizer.ratio.data.fill_(-1.0)
    module(x).square().sum().backward()
    assert all((q.current()[0] > 0).all() for q in module.activations.values())
    assert all(torch.isfinite(q.ratio.grad).all() for q in learned)
    assert any(q.ratio.grad.abs().sum() > 0 for q in learned)
    learned[0].ratio.data.fill_(torch.nan)
    with pytest.raises(DivergedError, match="ratio holds NaN"):
        export(module)


def test_names_of_the_graph_that_are_names_of_the_module():
    text = """net (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] y) {
      a = Conv (x, "weights.0")  b = Relu (a)  c = Conv (b, norms)  y = Relu (c) }"""
    model = build(text.replace('"weights.0"', "w0"), w0=(4, 4, 1, 1), norms=(4, 4, 1, 1))
    model.graph.initializers["w0"].name = "weights.0"
    module = qat.prepare(model, record(model), target="x86-vnni")
    assert dict(module.named_parameters()).keys() >= {"weights_.0", "norms_"}


@pytest.mark.parametrize(
    ("recipe", "settings"), [([], {"activations": "lsq"}), (["weights.granularity=per_tensor"], {})]
)
def test_a_state_of_another_recipe_is_refused(small, recipe, settings):
    state = qat.prepare(small, record(small), target="x86-vnni").state_dict()
    chosen = Recipe.load("default").with_settings(recipe)
    other = QatSettings.model_validate(settings)
    module = qat.prepare(small, record(small), target="x86-vnni", recipe=chosen, settings=other)
    with pytest.raises(RecipeError, match="state is of a module with another recipe"):
        module.load_state_dict(state)


def test_inputs_of_integers():
    text = "net (int64[N, 5] ids) => (float[N, 5, 3] y) { a = Gather (table, ids)  y = MatMul (a, w) }"
    model = build(text, table=(11, 8), w=(8, 3))
    tokens = np.random.default_rng(0).integers(0, 11, (16, 5))
    module = qat.prepare(model, {"ids": tokens}, target="x86-vnni")
    y = module(torch.tensor(tokens))
    y.square().sum().backward()
    assert module.table.grad.abs().sum() > 0
    with pytest.raises((DataError, ModelError), match="ids"):
        qat.prepare(model, {"ids": tokens.astype(np.float32)}, target="x86-vnni")


def test_fewer_samples_than_the_default_are_no_reason_to_warn(small, recwarn):
    qat.prepare(small, np.zeros((4, 3, 8, 8), np.float32) + np.eye(8, dtype=np.float32), target="x86-vnni")
    assert not [str(warning.message) for warning in recwarn if "asked for" in str(warning.message)]
