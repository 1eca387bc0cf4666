"""What is said of a trained module and its int8 model, on models that were changed on purpose."""

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tinyint.data import Sample
from tinyint.graph.io import save_model
from tinyint.graph.prepare import prepare as cleaned
from tinyint.proof.agreement import Agreement, agreement
from tinyint.qat import export, prepare
from tinyint.qat.session import qat_session
from tinyint.runtimes import get_runtime

ORT = get_runtime("onnxruntime")
SAMPLES = [Sample({"x": np.eye(4, dtype=np.float32)[[i]]}, name=str(i)) for i in range(4)]


def classifier(first: float) -> ir.Model:
    """Logits of the unit vectors: the highest is number i, by 0.9, but for the first one, by `first`."""
    weight = np.eye(4, dtype=np.float32)
    weight[0] = [1.0, 1.0 - first, 0.0, 0.0]
    return classifier_of(weight)


def classifier_of(weight: np.ndarray) -> ir.Model:
    return cleaned(build("net (float[1, 4] x) => (float[1, 4] y) { [fc] y = MatMul (x, w) }", w=weight))


def shown(tmp_path, model, changes=()):
    """What the proof says when codes of the int8 model's weights have been changed: {(row, column): code}."""
    module = prepare(model, [sample.inputs["x"] for sample in SAMPLES], target="generic").eval()
    exported = export(module)
    value = exported.graph.initializers["w_q"]
    codes = value.const_value.numpy().copy()
    for place, code in dict(changes).items():
        assert codes[place] != code
        codes[place] = code
    value.const_value = ir.tensor(codes, name="w_q")
    save_model(exported, tmp_path / "int8.onnx")
    return agreement(qat_session(module), tmp_path / "int8.onnx", SAMPLES, runtime=ORT)


def test_equal_models_agree(tmp_path):
    found = shown(tmp_path, classifier(0.9))
    assert found == Agreement(runtime="onnxruntime", samples=4, same_top1=1.0, ties=0, within_1_lsb=1.0)


def test_another_decision_counts(tmp_path):
    found = shown(tmp_path, classifier(0.9), {(0, 0): 100, (0, 1): 127})
    assert (found.same_top1, found.ties, found.within_1_lsb) == (3 / 4, 0, 14 / 16)


def test_another_decision_between_equal_classes_is_a_tie(tmp_path):
    found = shown(tmp_path, classifier(0.002), {(0, 0): 126})  # both codes are 127
    assert (found.same_top1, found.ties, found.within_1_lsb) == (1.0, 1, 15 / 16)


def test_an_output_that_is_quantized_is_measured_by_its_scale(tmp_path):
    """A code of 1/255 apart, on an output whose own range is 0.102."""
    images = [sample.inputs["x"].reshape(1, 4, 1, 1) for sample in SAMPLES]
    weight = np.eye(4, dtype=np.float32).reshape(4, 4, 1, 1)
    weight[1, 1] = 0.102
    text = """net (float[1, 4, 1, 1] x) => (float[1, 4, 1, 1] y) {
      [left] a = Conv (x, w) [right] b = Conv (x, nothing) [sum] y = Add (a, b) }"""
    model = cleaned(build(text, w=weight, nothing=np.zeros_like(weight)))
    module = prepare(model, images, target="generic").eval()
    quantizer = module.activations["y"]
    assert float(quantizer.scale) == pytest.approx(1 / 255)
    exported = export(module)
    codes = exported.graph.initializers["w_q"]
    changed = codes.const_value.numpy().copy()
    changed[1, 1] = 124
    codes.const_value = ir.tensor(changed, name="w_q")
    save_model(exported, tmp_path / "int8.onnx")
    one = [Sample({"x": images[1]}, name="1")]
    assert agreement(qat_session(module), tmp_path / "int8.onnx", one, runtime=ORT).within_1_lsb == 1.0
    result = ORT.open(tmp_path / "int8.onnx").run(one[0].inputs)["y"]
    assert result[0, 1] == pytest.approx(25 / 255)  # 26 before it was changed
