from __future__ import annotations

import shlex
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from typer.main import get_command

from tests.graph.build import build
from tests.processor import OPENVINO_TARGET
from tinyint.advice import advise as module
from tinyint.advice.advise import Given, advise, model_facts
from tinyint.advice.effort import qat_effort
from tinyint.cli.app import app
from tinyint.errors import ModelError, TargetError
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


DATA = Given(data="DATA")
LABELLED = Given(data="DATA", labels=True)


def machine(family: str, *features: str, gpu: bool = False) -> Host:
    return Host(machine=family, model="test", cores=2, features=frozenset(features), gpu=gpu)


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, machine("x86_64", "avx2", "avx512_vnni"))


def be(monkeypatch: pytest.MonkeyPatch, other: Host) -> None:
    monkeypatch.setattr(module, "host", lambda: other)
    monkeypatch.setattr(module, "get_runtime", lambda _: SimpleNamespace(available=lambda: "installed"))


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
    found = advise(model(), DATA if data else None, wants=wants, target="x86-vnni")  # type: ignore[operator, arg-type]
    assert (found.method, found.recipe, found.target) == (method, recipe, "x86-vnni")


def test_products_on_a_target_without_dynamic_kernels() -> None:
    assert advise(products(), target="openvino").method == "weight_only"


def reasons(model: ir.Model, given: Given | None = None, **options: object) -> str:
    return "\n".join(advise(model, given, **{"target": "x86-vnni"} | options).reasons)  # type: ignore[arg-type]


def test_reasons_are_facts_of_model_and_machine() -> None:
    text = reasons(convolutions(), LABELLED)
    assert "100% of the multiply-accumulates can run in int8 on x86-vnni" in text
    assert "these stay in float: 1 Erf" in text
    assert "depthwise convolutions (25% of" in text
    assert "VNNI" in text
    assert "QAT" in text
    assert "--minutes says how long it may take" in text
    assert "training (QAT) would need labels" in reasons(convolutions(), DATA)
    assert "depthwise" not in reasons(products(), DATA)
    assert "nothing in the model can run in int8" in reasons(build(NOTHING, w=(1, 300)), DATA)
    assert "would allow static" in reasons(convolutions())
    assert "would allow static" not in reasons(convolutions(), wants="size")


def test_a_target_of_another_machine_is_not_promised_a_gain() -> None:
    text = "\n".join(advise(convolutions(), DATA, target="arm64").reasons)
    assert "arm64 cannot be measured on this machine" in text
    assert "VNNI" not in text


def test_little_time_means_few_samples_and_the_cheap_recipe() -> None:
    # 37024 MACs at 3e10 a second: a tenth of a millisecond pays for 40 samples, half of it for calibration.
    minutes = 80 * 37024 / 3e10 / 60
    found = advise(convolutions(), Given(data="d", minutes=minutes * 1.001), target="x86-vnni")
    assert found.recipe == "fast"
    assert "--samples 40" in found.commands[0]
    assert "--samples 16" in advise(convolutions(), Given(data="d", minutes=0), target="x86-vnni").commands[0]
    plenty = advise(convolutions(), Given(data="d", minutes=5), target="x86-vnni")
    assert plenty.recipe == "default"
    assert "--samples" not in plenty.commands[0]


def test_time_and_labels_and_the_processor_decide_on_training(monkeypatch: pytest.MonkeyPatch) -> None:
    effort = qat_effort(37024, None, module.host())
    # 1,000 iterations of 32 samples, 6 passes of 37,024 MACs each, at 6e10 a second
    assert (effort.iters, effort.minutes) == (1000, pytest.approx(1000 * 32 * 6 * 37024 / 6e10 / 60))
    assert qat_effort(37024, 800, module.host()).iters == 250  # 10 epochs of 800, by 32
    enough, few = (replace(LABELLED, minutes=effort.minutes * share) for share in (1.01, 0.5))
    assert advise(convolutions(), enough, target="x86-vnni").method == "qat"
    assert advise(convolutions(), replace(enough, samples=499), target="x86-vnni").method == "static"
    assert "499 labelled samples are too few" in reasons(convolutions(), replace(enough, samples=499))
    assert advise(convolutions(), replace(enough, labels=False), target="x86-vnni").method == "static"
    assert advise(convolutions(), enough, target="x86-vnni", wants="size").method == "weight_only"
    assert advise(convolutions(), few, target="x86-vnni").method == "static"
    assert "(QAT) would take about" in reasons(convolutions(), few)
    be(monkeypatch, machine("x86_64", "avx2", "avx512_vnni", gpu=True))
    assert advise(convolutions(), few, target="x86-vnni").method == "qat"


@pytest.mark.parametrize(
    ("here", "target", "method", "told"),
    [
        (machine("x86_64", "avx2"), "x86-avx2", "static", "AVX2 without VNNI: about 1.5 times"),
        (machine("x86_64", "avx2"), "openvino-vnni", "static", "take --target openvino-avx2"),
        (machine("x86_64", "avx2"), "x86-vnni", "static", "take --target x86-avx2"),
        (machine("x86_64", "sse4_2"), None, "weight_only", "this processor has no AVX2, so that int8"),
        (machine("arm64", "asimd"), None, "weight_only", "this processor has no 8-bit dot products"),
        (machine("arm64", "asimddp"), None, "static", "SDOT"),
    ],
)
def test_what_this_processor_does_badly_is_not_recommended(
    here: Host, target: str | None, method: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(monkeypatch, here)
    found = advise(convolutions(), DATA, target=target or get_target(None, here).name)
    assert found.method == method
    assert told in "\n".join(found.reasons)


@pytest.mark.parametrize(
    ("features", "target"), [(("avx2",), "openvino-avx2"), (("avx2", "avx512_vnni"), "openvino")]
)
def test_openvino_is_proposed_beside_onnxruntime(
    features: tuple[str, ...], target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(monkeypatch, machine("x86_64", *features))
    assert f"quantize with --target {target} too" in reasons(convolutions(), DATA)
    assert "quantize with --target" not in reasons(convolutions(), DATA, target="openvino")
    be(monkeypatch, machine("arm64", "asimddp"))
    assert "quantize with --target" not in reasons(convolutions(), DATA, target="arm64")


def test_commands_judge_on_samples_that_did_not_calibrate() -> None:
    def judged(given: Given) -> str:
        return advise(convolutions(), given, target="x86-vnni", path="a.onnx").commands[1]

    against = " --against a.onnx"
    assert judged(LABELLED) == f"tinyint evaluate a.int8.onnx --data DATA --skip 128{against}"
    assert judged(replace(LABELLED, samples=200)) == judged(LABELLED)
    assert judged(replace(LABELLED, samples=128)) == f"tinyint evaluate a.int8.onnx --data VAL{against}"
    assert "VAL stands for labelled samples" in reasons(convolutions(), replace(LABELLED, samples=128))
    assert judged(replace(LABELLED, val="other")) == f"tinyint evaluate a.int8.onnx --data other{against}"


def exist(commands: tuple[str, ...]) -> None:
    commands_of: Any = get_command(app)
    for line in commands:
        _, verb, *arguments = shlex.split(line)
        options = {
            name for parameter in commands_of.get_command(None, verb).params for name in parameter.opts
        }
        assert {a for a in arguments if a.startswith("-")} <= options


def test_commands_exist_and_quote_the_path() -> None:
    found = advise(convolutions(), replace(LABELLED, val="v"), target="openvino", path="my nets/a.onnx")
    assert found.commands == (
        "tinyint quantize 'my nets/a.onnx' -o 'my nets/a.int8.onnx' --data DATA --recipe default "
        f"--target {OPENVINO_TARGET}",
        "tinyint evaluate 'my nets/a.int8.onnx' --data v --against 'my nets/a.onnx' --runtime openvino",
        "tinyint compare 'my nets/a.onnx' 'my nets/a.int8.onnx' --data DATA",
        "tinyint bench 'my nets/a.onnx' 'my nets/a.int8.onnx' --runtime openvino",
    )
    exist(found.commands)
    assert len(advise(convolutions(), DATA, target="tensorrt").commands) == 1


def test_the_commands_of_training() -> None:
    given = replace(LABELLED, minutes=600)
    found = advise(convolutions(), given, target="x86-vnni", path="a.onnx", wants="accuracy")
    assert found.commands == (
        "tinyint quantize a.onnx -o a.int8.onnx --data DATA --recipe accurate --target x86-vnni",
        "tinyint qat --model-path a.onnx -o data.train=DATA data.val=VAL quantization.target=x86-vnni "
        "quantization.recipe=accurate --iters 1000 --learning-rate 0.001 --save-dir a-qat",
        "tinyint evaluate a-qat/best_model --data VAL --against a.onnx",
        "tinyint compare a.onnx a-qat/best_model --data DATA",
        "tinyint bench a.onnx a-qat/best_model",
    )
    exist(found.commands)


def test_wrong_models_and_targets() -> None:
    quantized = build(
        "g (float[1,2] x) => (float[1,2] y) { q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }",
        s=np.float32(1),
        z=np.uint8(0),
    )
    with pytest.raises(ModelError, match=r"'net\.onnx' is quantized already"):
        advise(quantized, DATA, path="net.onnx")
    with pytest.raises(TargetError, match="no target 'x86'"):
        advise(convolutions(), DATA, target="x86")
