"""The step `gptq` end to end: outputs are nearer, of every kind of operator that it rounds."""

import numpy as np
import pytest

import tinyint
from tests.graph.build import build
from tests.models import noise, residual
from tinyint.graph.prepare import prepare
from tinyint.graph.walk import constant_of
from tinyint.numbers.numerics import dequantize
from tinyint.proof.saturation import saturating_nodes
from tinyint.quantization import qdq
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime
from tinyint.targets import TARGETS

QUIET = tinyint.Run(verify=False)
NETS = {
    "convolution": ("(float[N,8,9,9] x) => (float[N,5,7,7] y) { y = Conv (x, w, b) }", (5, 8, 3, 3)),
    "padded, strided": (
        "(float[N,8,9,9] x) => (float[N,5,5,5] y) { y = Conv <pads=[1,1,1,1], strides=[2,2]> (x, w, b) }",
        (5, 8, 3, 3),
    ),
    "grouped": ("(float[N,8,9,9] x) => (float[N,4,9,9] y) { y = Conv <group = 2> (x, w, b) }", (4, 4, 1, 1)),
    "depthwise": (
        "(float[N,8,9,9] x) => (float[N,8,9,9] y) { y = Conv <group = 8, pads=[1,1,1,1]> (x, w, b) }",
        (8, 1, 3, 3),
    ),
    "one dimension": (
        "(float[N,8,9] x) => (float[N,5,5] y) { y = Conv <dilations=[2]> (x, w, b) }",
        (5, 8, 3),
    ),
    "in blocks": ("(float[N,400] x) => (float[N,6] y) { y = Gemm <transB = 1> (x, w, b) }", (6, 400)),
    "inputs first": ("(float[N,4,40] x) => (float[N,4,6] y) { z = MatMul (x, w) y = Add (z, b) }", (40, 6)),
}


def net(name: str, weight: np.ndarray | None = None):
    text, shape = NETS[name]
    outputs = shape[1] if name == "inputs first" else shape[0]
    if weight is None:
        weight = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    return build(f"net {text}", w=weight, b=np.zeros(outputs, np.float32))


def samples(model) -> list[np.ndarray]:
    """Channels that have much in common."""
    rng = np.random.default_rng(0)
    _, *shape = model.graph.inputs[0].shape
    axis = len(shape) - 1 if len(shape) < 3 and shape[0] != 8 else 0
    one = [size if i != axis else 1 for i, size in enumerate(shape)]
    return [
        (2 + rng.standard_normal(one) + 0.1 * rng.standard_normal(shape)).astype(np.float32)[None]
        for _ in range(24)
    ]


def rank(node) -> int:
    codes = constant_of(node.inputs[0])
    return 0 if codes is None else codes.ndim


def off(name: str, steps: tuple[str, ...]) -> float:
    """Error of the output that the stored weights alone cause."""
    model = net(name)
    data = samples(model)
    made = tinyint.quantize(model, data, recipe=Recipe(steps=steps), target="generic", run=QUIET)
    weight = next(node for node in made.model.graph if node.op_type == "DequantizeLinear" and rank(node) > 1)
    params, codes = qdq.read_params(weight), constant_of(weight.inputs[0])
    ours, exact = (
        np.concatenate([get_runtime("onnxruntime").open(m).run({"x": x})["y"] for x in data])
        for m in (net(name, dequantize(codes, params)), model)
    )
    return float(np.square(ours - exact).mean())


@pytest.mark.parametrize("name", NETS)
def test_outputs_are_nearer(name):
    assert off(name, ("gptq",)) < (0.9 if name == "depthwise" else 0.5) * off(
        name, ()
    )  # whose windows hold noise


def test_the_report_says_what_was_done():
    model = residual()
    data = [sample["x"] for sample in noise(model, 6)]
    report = tinyint.quantize(model, data, recipe=Recipe(steps=("gptq",)), target="generic").report
    (note,) = [note for note in report.notes if note.startswith("gptq")]
    assert "operators by what they multiply; outputs are" in note


def test_where_there_is_nothing_to_round():
    model = build("net (float[N,4,5,5] x) => (float[N,4,5,5] y) { y = MatMul (x, x) }")
    data = [sample["x"] for sample in noise(prepare(model), 2)]
    report = tinyint.quantize(model, data, recipe=Recipe(steps=("gptq",)), target="generic").report
    assert any(note.startswith("gptq: found nothing to do") for note in report.notes)


@pytest.mark.parametrize("target", ["x86-avx2", "openvino-avx2"])
def test_codes_keep_to_the_limit_on_pairs(target):
    model = residual()
    data = [sample["x"] for sample in noise(model, 6)]
    made = tinyint.quantize(model, data, recipe=Recipe(steps=("gptq",)), target=target, run=QUIET)
    assert saturating_nodes(made.model, TARGETS[target]) == []


def test_a_record_serves_again_and_another_is_refused(tmp_path):
    model = net("depthwise")
    data, recipe = samples(model), Recipe(steps=("gptq",))
    first = tinyint.quantize(model, data, recipe=recipe, target="generic", run=QUIET)
    first.record.save(tmp_path / "record.npz")
    again = tinyint.quantize(
        model, recipe=recipe, target="generic", calibration=tmp_path / "record.npz", run=QUIET
    )
    assert [t.const_value.numpy().tobytes() for t in again.model.graph.initializers.values()] == [
        t.const_value.numpy().tobytes() for t in first.model.graph.initializers.values()
    ]
    plain = tinyint.quantize(model, data, target="generic", run=QUIET).record
    with pytest.raises(tinyint.TinyintError, match="lacks the gram of 'x' along axis 1, windows 3×3"):
        tinyint.quantize(model, recipe=recipe, target="generic", calibration=plain, run=QUIET)
