from __future__ import annotations

import shlex

import numpy as np
import onnx_ir as ir
import pytest
from typer.main import get_command

from tests.graph.build import build
from tinyint.errors import ModelError, TargetError
from tinyint.evaluate import advise as module
from tinyint.evaluate.advise import advise, model_facts
from tinyint.graph.prepare import prepare
from tinyint.runtimes.host import Host
from tinyint.targets import get_target

# MACs: first 8·8·16·27 = 27648, depthwise 8·8·16·9 = 9216, fc 16·10 = 160.
CONVOLUTIONS = """net (float[1,3,8,8] x) => (float[1,10] y) {
    a = Conv<pads = [1,1,1,1]>(x, w1)  b = Relu(a)  c = Conv<pads = [1,1,1,1], group = 16>(b, w2)  d = Erf(c)
    e = GlobalAveragePool(d)  f = Flatten(e)  y = Gemm(f, w3) }"""
# 5 tokens: q and k 5·64·64 = 20480 each, scores 5·5·64 = 1600, of which none has weights.
PRODUCTS = """net (float[1,5,64] x) => (float[1,5,5] y) {
    q = MatMul(x, wq)  k = MatMul(x, wk)  t = Transpose<perm = [0,2,1]>(k)  s = MatMul(q, t)  y = Softmax(s) }"""
NOTHING = "net (float[1,300] x) => (float[1,300] y) { a = Sin(x)  y = Mul(a, w) }"


def convolutions() -> ir.Model:
    return build(CONVOLUTIONS, w1=(16, 3, 3, 3), w2=(16, 1, 3, 3), w3=(16, 10))


def products() -> ir.Model:
    return build(PRODUCTS, wq=(64, 64), wk=(64, 64))


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    vnni = Host(machine="x86_64", model="test", cores=2, features=frozenset({"avx2", "avx512_vnni"}))
    monkeypatch.setattr(module, "host", lambda: vnni)


def test_facts_by_hand() -> None:
    total = 27648 + 9216 + 160
    facts = model_facts(prepare(convolutions()), get_target("x86-vnni"))
    assert facts.macs == total
    assert facts.convolution == pytest.approx((27648 + 9216) / total)
    assert facts.depthwise == pytest.approx(9216 / total)
    assert facts.product == facts.dynamic_int8 == pytest.approx(160 / total)
    assert facts.static_int8 == 1.0
    assert ("Erf", 1) in facts.left_float
    assert facts.weight_bytes == 4 * (16 * 27 + 16 * 9 + 160)
    attention = model_facts(prepare(products()), get_target("x86-vnni"))
    assert (attention.product, attention.convolution) == (1.0, 0.0)
    assert attention.dynamic_int8 == pytest.approx(40960 / 42560)


@pytest.mark.parametrize(
    ("model", "data", "wants", "method", "recipe"),
    [
        (convolutions, True, "speed", "static", "default"),
        (convolutions, True, "accuracy", "static", "accurate"),
        (convolutions, True, "size", "weight_only", "weight_only"),
        (convolutions, False, "speed", "weight_only", "weight_only"),
        (products, True, "speed", "static", "default"),
        (products, False, "speed", "dynamic", "dynamic"),
        (products, False, "accuracy", "weight_only", "weight_only"),
        (products, False, "size", "weight_only", "weight_only"),
        (lambda: build(NOTHING, w=(1, 300)), True, "speed", "weight_only", "weight_only"),
    ],
)
def test_method(model: object, data: bool, wants: str, method: str, recipe: str) -> None:
    found = advise(model(), data=data, wants=wants, target="x86-vnni")  # type: ignore[operator, arg-type]
    assert (found.method, found.recipe, found.target) == (method, recipe, "x86-vnni")


def test_products_on_a_target_without_dynamic_kernels() -> None:
    assert advise(products(), data=False, target="openvino").method == "weight_only"


def reasons(model: ir.Model, **options: object) -> str:
    return "\n".join(advise(model, target="x86-vnni", **options).reasons)  # type: ignore[arg-type]


def test_reasons_are_facts_of_model_and_machine() -> None:
    text = reasons(convolutions(), data=True, labels=True)
    assert "100% of the multiply-accumulates can run in int8 on x86-vnni" in text
    assert "these stay in float: 1 Erf" in text
    assert "depthwise convolutions (25% of" in text
    assert "VNNI" in text
    assert "QAT" in text
    assert "tinyint qat" in text
    assert "QAT" not in reasons(convolutions(), data=True)
    assert "depthwise" not in reasons(products(), data=True)
    assert "nothing in the model can run in int8" in reasons(build(NOTHING, w=(1, 300)), data=True)
    assert "would allow static" in reasons(convolutions(), data=False)
    assert "would allow static" not in reasons(convolutions(), data=False, wants="size")


def test_a_target_of_another_machine_is_not_promised_a_gain() -> None:
    text = "\n".join(advise(convolutions(), data=True, target="arm64").reasons)
    assert "arm64 cannot be measured on this machine" in text
    assert "VNNI" not in text


def test_little_time_means_few_samples_and_the_cheap_recipe() -> None:
    # 37024 MACs at 3e10 a second: a tenth of a millisecond pays for 40 samples, half of it for calibration.
    minutes = 80 * 37024 / 3e10 / 60
    found = advise(convolutions(), data=True, time_minutes=minutes * 1.001, target="x86-vnni")
    assert found.recipe == "fast"
    assert "--samples 40" in found.commands[0]
    assert "--samples 16" in advise(convolutions(), data=True, time_minutes=0, target="x86-vnni").commands[0]
    plenty = advise(convolutions(), data=True, time_minutes=5, target="x86-vnni")
    assert plenty.recipe == "default"
    assert "--samples" not in plenty.commands[0]


def test_commands_exist_and_quote_the_path() -> None:
    from tinyint.cli.app import app

    found = advise(convolutions(), data=True, labels=True, target="openvino", path="my nets/a.onnx")
    assert found.commands == (
        "tinyint quantize 'my nets/a.onnx' -o 'my nets/a.int8.onnx' --data DATA --recipe default --target openvino",
        "tinyint evaluate 'my nets/a.int8.onnx' --data DATA --runtime openvino",
        "tinyint compare 'my nets/a.onnx' 'my nets/a.int8.onnx' --data DATA",
        "tinyint bench 'my nets/a.onnx' 'my nets/a.int8.onnx' --runtime openvino",
    )
    known = get_command(app).commands  # type: ignore[attr-defined]
    for line in found.commands:
        _, verb, *arguments = shlex.split(line)
        options = {name for parameter in known[verb].params for name in parameter.opts}
        assert {a for a in arguments if a.startswith("-")} <= options
    assert len(advise(convolutions(), data=True, target="tensorrt").commands) == 1


def test_labels_are_data() -> None:
    assert advise(convolutions(), data=False, labels=True, target="x86-vnni").method == "static"


def test_wrong_models_and_targets() -> None:
    quantized = build(
        "g (float[1,2] x) => (float[1,2] y) { q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }",
        s=np.float32(1),
        z=np.uint8(0),
    )
    with pytest.raises(ModelError, match=r"'net\.onnx' is quantized already"):
        advise(quantized, data=True, path="net.onnx")
    with pytest.raises(TargetError, match="no target 'x86'"):
        advise(convolutions(), data=True, target="x86")
