"""Transposed convolutions: OpenVINO runs them in int8 only under a zero-point of 0, and in one group."""

import pytest

from tests.graph.build import build
from tests.models import noise
from tests.processor import EXACT
from tests.quantization.test_ptq import outputs, static
from tinyint.graph.prepare import prepare
from tinyint.runtimes import get_runtime

OPENVINO = [name for name, runtime in EXACT.items() if runtime == "openvino"]
RUNTIME = get_runtime("openvino")


def network(activation: str, tail: str = "", group: int = 1, out: str = ""):
    return prepare(
        build(
            f"""net (float[1, 3, 8, 8] x) => (float[A, B, C, D] y{out}) {{
              [down] a = Conv (x, w1, b1) [act] r = {activation} (a)
              [up] u = ConvTranspose <strides = [2, 2], group = {group}> (r, w2, b2)
              {tail} [last] y = Conv (u, w3) }}""",
            w1=(8, 3, 3, 3),
            b1=(8,),
            w2=(8, 6 // group, 2, 2),
            b2=(6,),
            w3=(5, 6, 1, 1),
            w4=(5, 8, 1, 1),
            v=(8, 1, 1),
        )
    )


@pytest.mark.parametrize("target", OPENVINO)
@pytest.mark.parametrize(
    ("activation", "storage"), [("Relu", "uint8"), ("LeakyRelu", "int8"), ("Elu", "int8"), ("Tanh", "int8")]
)
def test_they_run_in_int8_whatever_feeds_them(activation, storage, target):
    model = network(activation)
    quantized = static(model, target)
    assert quantized.plan.tensors["r"].scheme.qtype.storage == storage
    samples = noise(model, 2, seed=2)
    simulated = outputs(get_runtime("onnxruntime"), quantized.model, samples, optimize=False)
    real = outputs(RUNTIME, quantized.model, samples)
    ran = {source for row in RUNTIME.executed(quantized.model) if row.int8 for source in row.sources}
    assert {"down", "up", "last"} <= ran
    assert abs(real - simulated).max() < 0.02 * abs(simulated).max()


@pytest.mark.parametrize("target", OPENVINO)
def test_in_groups_they_are_in_float(target):
    quantized = static(network("LeakyRelu", group=2), target)
    assert quantized.float_nodes["up"] == f"{target} has no int8 ConvTranspose in groups"


@pytest.mark.parametrize("target", OPENVINO)
def test_beside_a_reader_of_another_format_they_are_in_float(target):
    model = network("LeakyRelu", tail="[side] z = Conv (r, w4)", out=", float[E, F, G, H] z")
    quantized = static(model, target)
    assert "others read an operand in another format" in quantized.float_nodes["up"]
    assert quantized.float_nodes.get("side") is None
