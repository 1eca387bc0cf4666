"""Where quantizers stand in the program, how training goes on, and what is refused."""

import numpy as np
import onnx_ir as ir
import pytest
import torch

import tinyint
from tests.graph.build import build
from tests.models import depthwise, inception, noise, residual, transformer
from tests.qat.test_export import record_for
from tinyint import qat
from tinyint.errors import DataError, ModelError, RecipeError, RecordError, TargetError
from tinyint.qat import QatModule, QatSettings, export
from tinyint.quantization.recipe import Recipe


def prepared(model: ir.Model, **settings: object) -> QatModule:
    return qat.prepare(
        model, record_for(model), target="x86-vnni", settings=QatSettings.model_validate(settings)
    )


def step_names(module: QatModule) -> list[str]:
    return [step.name for step in module.steps]


def test_a_clamp_that_the_quantizer_performs_is_not_run():
    assert [name for name in step_names(prepared(residual())) if name.startswith("relu")] == []
    generic = qat.prepare(residual(), record_for(residual()), target="generic")
    assert [n for n in step_names(generic) if n in ("relu1", "relu2", "relu3")] == ["relu1", "relu2", "relu3"]


def test_what_only_moves_values_is_not_rounded_again():
    module = prepared(inception())
    tensors = module.origin.plan.tensors
    assert tensors["p"].group == tensors["c"].group  # MaxPool shares the scale of the Concat
    assert module.activations["p"] is module.activations["c"]
    assert "p/Q" not in step_names(module)
    assert "c/Q" not in step_names(module)  # nor does the Concat of what has that scale already


def test_quantizers_write_over_what_nothing_else_reads():
    functions = {step.name: step.function for step in prepared(residual()).steps}
    in_place = {name for name, f in functions.items() if getattr(f, "keywords", {}).get("in_place")}
    assert in_place == {"ar/Q", "br/Q", "c/Q", "sr/Q"}


@pytest.mark.parametrize("network", [residual, inception, depthwise, transformer])
def test_gradients_reach_every_weight(network):
    module = prepared(network())
    (feeds,) = noise(network(), 1)
    module(**{k: torch.tensor(v) for k, v in feeds.items()}).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_gradients_are_those_of_the_float_graph_but_for_rounding():
    model = residual()
    module, reference = prepared(model, teacher=True), qat.to_torch(model)
    (feeds,) = noise(model, 1)
    for net in (module, reference):
        net(torch.tensor(feeds["x"])).square().sum().backward()
    ours, theirs = module.w2.grad, reference.w2.grad
    assert torch.nn.functional.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0) > 0.98


def test_evaluation_changes_nothing():
    module = prepared(residual()).eval()
    before = {
        name: value.clone() for name, value in module.state_dict().items() if isinstance(value, torch.Tensor)
    }
    module(torch.full((2, 3, 16, 16), 100.0))
    for name, value in before.items():
        assert torch.equal(module.state_dict()[name], value), name
    assert module.steps_done == 0


def test_training_moves_the_ranges_until_they_freeze():
    module = prepared(residual(), freeze_after=2)
    scales = []
    for _ in range(4):
        module(torch.full((2, 3, 16, 16), 100.0))
        scales.append(float(module.activations["x"].scale))
    assert scales[0] < scales[1] == scales[2] == scales[3]
    assert module.frozen


def test_the_calibrated_ranges_may_stay():
    module = prepared(residual(), freeze_after=0)
    before = module.activations["x"].qparams()
    module(torch.full((2, 3, 16, 16), 100.0))
    assert module.activations["x"].qparams() == before


def test_the_teacher_is_the_float_graph_and_is_not_trained():
    model = residual()
    module = prepared(model, teacher=True)
    x = torch.tensor(noise(model, 1)[0]["x"])
    assert torch.equal(module.teacher(x), qat.to_torch(model)(x))
    own = {id(p) for p in module.parameters()}
    assert not own & {id(p) for p in module.teacher.parameters()}
    assert not [name for name in module.state_dict() if "teacher" in name]
    loss = module.distillation_loss(module(x), x)
    loss.backward()
    assert 0 < loss.item() < 0.05
    assert all(p.grad is None for p in module.teacher.parameters())


def test_distillation_recovers_what_rounding_lost():
    model = depthwise()
    coarse = Recipe.load("default").with_settings(["weights.granularity=per_tensor"])
    module = qat.prepare(
        model, record_for(model), recipe=coarse, target="x86-vnni", settings=QatSettings(teacher=True)
    )
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    x = torch.tensor(np.concatenate([s["x"] for s in noise(model, 16, seed=5)]))
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = module.distillation_loss(module(x), x)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses) < 0.8 * losses[0]


def test_parameters_in_groups():
    groups = prepared(residual(), activations="lsq").parameter_groups(lr=0.1, weight_decay=0.5)
    assert [(g["name"], g["weight_decay"]) for g in groups] == [
        ("weights", 0.5),
        ("vectors", 0.0),
        ("ranges", 0.0),
    ]
    assert sum(len(g["params"]) for g in groups) == len(
        list(prepared(residual(), activations="lsq").parameters())
    )


def test_without_a_teacher_there_is_nothing_to_learn_from():
    with pytest.raises(RecipeError, match="QatSettings\\(teacher=True\\)"):
        _ = prepared(residual()).teacher


def test_a_state_of_another_model_is_refused():
    with pytest.raises(RecipeError, match="the state is of another model"):
        prepared(residual()).set_extra_state(prepared(depthwise()).get_extra_state())


def test_an_operator_without_gradient_is_named_before_anything_runs():
    model = build(
        """net (float[N, 4] x) => (float[N, 4] y) {
          [fc] a = MatMul (x, w)
          [odd] y = StringNormalizer (a)
        }""",
        w=(4, 4),
    )
    with pytest.raises(ModelError, match="StringNormalizer"):
        qat.prepare(model, iter(()))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"recipe": "dynamic"}, RecipeError, "method: static"),
        ({"recipe": "defualt"}, RecipeError, "default"),
        ({"target": "x86"}, TargetError, "x86-vnni"),
        ({"data_or_record": "nowhere.calibration.npz"}, RecordError, "no such file"),
        ({"data_or_record": np.zeros((4, 5, 16, 16), np.float32)}, DataError, "3, 16, 16"),
        ({"data_or_record": record_for(depthwise())}, RecordError, "another model"),
    ],
)
def test_what_cannot_be_prepared_is_refused(change, error, message):
    arguments = {"data_or_record": record_for(residual()), "target": "x86-vnni"} | change
    with pytest.raises(error, match=message):
        qat.prepare(residual(), **arguments)


def test_a_quantized_model_is_refused():
    with pytest.raises(ModelError, match="quantized already"):
        qat.prepare(export(prepared(residual())), record_for(residual()))


def test_from_data():
    data = np.concatenate([s["x"] for s in noise(residual(), 4)])
    recipe = Recipe.load("default").with_settings(["samples=4"])
    module = qat.prepare(residual(), data, recipe=recipe, target="x86-vnni")
    assert module.origin.record.samples == 4


class Head(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(8, 3)

    def forward(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"scores": self.fc(features), "features": features}


def test_a_torch_module_keeps_its_names_and_structure():
    torch.manual_seed(0)
    head, x = Head(), torch.randn(4, 8)
    module = qat.prepare(
        tinyint.load(head, (x,)),
        x.numpy(),
        recipe=Recipe.load("default").with_settings(["samples=4"]),
        target="x86-vnni",
    )
    outputs = module(features=x)
    assert list(outputs) == ["scores", "features"]
    torch.testing.assert_close(outputs["scores"], head(x)["scores"], atol=0.05, rtol=0)
    assert "fc.weight" in module.state_dict()


def test_masks_of_infinity_stay_in_float():
    model = build(
        """
        net (float[N, 4, 8] x) => (float[N, 4, 8] y) {
          q = MatMul (x, wq) k = MatMul (x, wk) t = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, t)
          [masking] m = Add (s, mask) [soft] p = Softmax (m) o = MatMul (p, x) y = MatMul (o, wo)
        }
        """,
        mask=np.where(np.triu(np.ones((4, 4), bool), 1), np.float32(-np.inf), np.float32(0)),
        wq=(8, 8),
        wk=(8, 8),
        wo=(8, 8),
    )
    data = np.random.default_rng(0).normal(size=(4, 4, 8)).astype(np.float32)
    recipe = Recipe.load("full").with_settings(["samples=4"])
    module = qat.prepare(model, data, recipe=recipe, target="x86-avx2").train()
    assert "holds a mask" in module.origin.plan.float_nodes["masking"]
    assert "holds a mask" in module.origin.plan.float_nodes["soft"]
    module(torch.tensor(data)).square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)
