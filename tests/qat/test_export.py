"""What `eval()` computes is what the exported model computes, op by op and on the real runtimes."""

import copy

import numpy as np
import onnx_ir as ir
import pytest
import torch

from tests.graph.build import build
from tests.models import depthwise, detector, inception, noise, residual, transformer
from tests.processor import EXACT, OPENVINO_TARGET
from tinyint.data import Sample
from tinyint.errors import DivergedError, TinyintWarning
from tinyint.graph.io import is_quantized, model_fingerprint
from tinyint.qat.export import export
from tinyint.qat.prepare import prepare
from tinyint.qat.qat_module import QatModule
from tinyint.qat.settings import QatSettings
from tinyint.quantization import qdq
from tinyint.quantization.calibration import CalibrationRecord, calibrate
from tinyint.quantization.ptq import quantize_graph
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime
from tinyint.targets import TARGETS as EVERY
from tinyint.targets import get_target

NETWORKS = [residual, inception, depthwise, transformer, detector]
TARGETS = [name for name in EVERY if name != "openvino"] + ["openvino"] * (OPENVINO_TARGET == "openvino")


def record_for(model: ir.Model, count: int = 8) -> CalibrationRecord:
    samples = [Sample(inputs, name=str(i)) for i, inputs in enumerate(noise(model, count))]
    return calibrate(model, samples, fingerprint=model_fingerprint(model), threads=1)


def trained(
    model: ir.Model,
    target: str = "x86-vnni",
    recipe: str | Recipe = "default",
    steps: int = 3,
    **settings: object,
) -> QatModule:
    """After some steps that move every weight and every range."""
    torch.manual_seed(0)
    module = prepare(
        model, record_for(model), recipe=recipe, target=target, settings=QatSettings.model_validate(settings)
    )
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for feeds in noise(model, steps, seed=7):
        optimizer.zero_grad()
        y = module(*(torch.tensor(x) * 1.5 for x in feeds.values()))
        (y - 1.0).square().mean().backward()
        optimizer.step()
    return module.eval()


def in_torch(module: QatModule, samples: list[dict[str, np.ndarray]]) -> np.ndarray:
    with torch.no_grad():
        return np.stack([module(**{k: torch.tensor(v) for k, v in s.items()}).numpy() for s in samples])


def on_runtime(
    name: str, model: ir.Model, samples: list[dict[str, np.ndarray]], **options: object
) -> np.ndarray:
    session = get_runtime(name).open(model, threads=1, **options)
    return np.stack([next(iter(session.run(s).values())) for s in samples])


def lsb_of(model: ir.Model, reference: np.ndarray) -> float:
    """The step of the output's quantizer; where it has none, a 255th of what the output spans."""
    (name,) = [value.name for value in model.graph.outputs]
    found = [
        t.params.scale for t in qdq.read(model) if not t.constant and t.name.removesuffix("_float") == name
    ]
    return float(found[0]) if found else float(np.ptp(reference)) / 255


def assert_agree(found: np.ndarray, expected: np.ndarray, lsb: float) -> None:
    assert np.ptp(expected) > 20 * lsb  # the comparison says something
    off = np.abs(found - expected) / lsb
    # A tie in an inner tensor, rounded the other way, moves an output by the weight times that tensor's step.
    assert (off > 1.01).sum() <= max(1, off.size // 1000)
    assert off.max() < 2


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("target", TARGETS)
def test_before_training_it_is_the_post_training_model(network, target):
    model = network()
    record = record_for(model)
    recipe = Recipe.load("default")
    expected = quantize_graph(model, target=get_target(target), recipe=recipe, record=record)
    found = export(prepare(model, record, target=target))
    params = {(t.name, t.constant): t.params for t in qdq.read(expected.model)}
    assert {(t.name, t.constant): t.params for t in qdq.read(found)} == params
    assert found.metadata_props.pop("tinyint.trained_for") == target
    assert dict(found.metadata_props) == dict(expected.model.metadata_props)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("target", TARGETS)
def test_eval_is_the_exported_model_op_by_op(network, target):
    model = network()
    module = trained(model, target)
    exported = export(module)
    assert is_quantized(exported)
    samples = noise(model, 4, seed=2)
    simulated = on_runtime("onnxruntime", exported, samples, optimize=False)
    assert_agree(in_torch(module, samples), simulated, lsb_of(exported, simulated))


@pytest.mark.parametrize(
    "activations", ["moving_average_absmax", "absmax", "range_absmax", "lsq", "lsq+", "pact"]
)
@pytest.mark.parametrize("weights", ["absmax", "lsq"])
def test_every_kind_of_range_is_exported_as_it_is(activations, weights):
    model = depthwise()
    module = trained(model, activations=activations, weights=weights, freeze_after=2)
    exported = export(module)
    samples = noise(model, 4, seed=2)
    simulated = on_runtime("onnxruntime", exported, samples, optimize=False)
    assert_agree(in_torch(module, samples), simulated, lsb_of(exported, simulated))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("target", "runtime"), EXACT.items())
def test_eval_is_what_runs(network, target, runtime):
    model = network()
    module = trained(model, target)
    exported = export(module)
    samples = noise(model, 4, seed=2)
    real = on_runtime(runtime, exported, samples)
    ours = in_torch(module, samples)
    assert_agree(real, ours, lsb_of(exported, ours))


@pytest.mark.parametrize("setting", ["weights.granularity=per_tensor", "weights.range=mse", "op_types=all"])
def test_what_the_recipe_says_holds(setting):
    model = residual()
    module = trained(model, recipe=Recipe.load("default").with_settings([setting]))
    exported = export(module)
    samples = noise(model, 4, seed=2)
    simulated = on_runtime("onnxruntime", exported, samples, optimize=False)
    assert_agree(in_torch(module, samples), simulated, lsb_of(exported, simulated))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("target", [OPENVINO_TARGET, "tensorrt"])
def test_another_target_takes_over_what_was_trained_and_says_what_differs(network, target):
    module = trained(network())
    with pytest.warns(TinyintWarning, match=f"trained for x86-vnni and is exported for {target}: \\d+ of"):
        exported = export(module, target=target)
    samples = noise(module.origin.prepared, 8, seed=2)
    ours = in_torch(module, samples)
    theirs = on_runtime("onnxruntime", exported, samples, optimize=False)
    # The trained weights are in it: the exported model is near the trained module, and far from the one before.
    before = in_torch(prepare(network(), record_for(network()), target="x86-vnni").eval(), samples)
    assert np.square(theirs - ours).sum() < 0.2 * np.square(before - ours).sum()


def test_a_value_beyond_a_symmetric_range_has_the_code_that_the_runtime_gives_it():
    """The scale is 1, and QuantizeLinear saturates at -128, one code further than 127 on the other side."""
    w = np.array([[127.0], [0.0]], np.float32)
    model = build("net (float[1, 2] x) => (float[1, 1] y) { y = MatMul (x, w) }", w=w)
    samples = [Sample({"x": np.array([[-127.0, 127.0]], np.float32)}, name="0")]
    record = calibrate(model, samples, fingerprint=model_fingerprint(model), threads=1)
    module = prepare(model, record, target="tensorrt").eval()
    beyond = [{"x": np.array([[value, 0.0]], np.float32)} for value in (-300.0, 300.0)]
    simulated = on_runtime("onnxruntime", export(module), beyond, optimize=False)
    assert in_torch(module, beyond).flatten().tolist() == [-128.0 * 127.0, 127.0 * 127.0]
    assert simulated.flatten().tolist() == [-128.0 * 127.0, 127.0 * 127.0]


@pytest.mark.parametrize("weights", ["absmax", "lsq"])
def test_a_module_that_has_diverged_is_not_exported(weights):
    module = trained(residual(), weights=weights)
    with torch.no_grad():
        list(module.parameters())[-1].fill_(float("nan"))
    with pytest.raises(DivergedError, match="holds NaN or infinity: the training has diverged"):
        export(module)


def test_a_copy_trains_and_exports_on_its_own():
    module = trained(residual())
    samples = noise(residual(), 2, seed=2)
    before = in_torch(module, samples)
    other = copy.deepcopy(module).train()
    for parameter in other.parameters():
        parameter.data += 0.1
    other(torch.tensor(samples[0]["x"]) * 9)
    np.testing.assert_array_equal(in_torch(module, samples), before)
    assert not np.array_equal(in_torch(other.eval(), samples), before)
    assert qdq.read(export(other)) != qdq.read(export(module))


def test_a_state_is_taken_up_where_it_was_left():
    module = trained(residual())
    state = module.state_dict()
    other = prepare(residual(), record_for(residual()), target="x86-vnni")
    other.load_state_dict(state)
    assert other.steps_done == 3
    assert qdq.read(export(other)) == qdq.read(export(module))


def test_held_codes_are_exported():
    module = trained(depthwise(), steps=12, freeze_oscillating=0.005)
    held = sum(int(w.freezer.held.sum()) for w in module.weights.values() if w.freezer is not None)
    assert held > 0
    for weight in module.weights.values():  # as a further step of training might leave them
        if weight.freezer is not None:
            weight.freezer.fixed -= weight.freezer.held.float()
    exported = export(module)
    samples = noise(module.origin.prepared, 4, seed=2)
    simulated = on_runtime("onnxruntime", exported, samples, optimize=False)
    assert_agree(in_torch(module, samples), simulated, lsb_of(exported, simulated))
