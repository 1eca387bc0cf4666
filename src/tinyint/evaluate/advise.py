"""Which method fits: from what the user has and wants, what the model is made of, and what the machine can do."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx_ir as ir

from tinyint.errors import ModelError, RecipeError
from tinyint.graph.io import weight_bytes
from tinyint.graph.ops import Kind, is_depthwise, kind_of
from tinyint.graph.walk import constant_of, macs, static_shape
from tinyint.plan import plan
from tinyint.ptq import prepare_float
from tinyint.recipe import Recipe
from tinyint.runtimes import get_runtime
from tinyint.runtimes.host import expected_gain, host, is_foreign
from tinyint.targets import Target, get_target

__all__ = ["Advice", "ModelFacts", "Wants", "advise", "model_facts"]

Wants = Literal["size", "speed", "accuracy"]

_MACS_A_SECOND = 3e10
"""Of a float network on one ordinary core; cores with AVX-512 do four times as many."""
_FEWEST_SAMPLES = 16
_MOSTLY = 0.5
_DEPTHWISE = 0.01
"""Depthwise convolutions are few multiply-accumulates, even where they are every second layer."""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What a float model is made of, seen from a target.

    * `macs`: multiply-accumulates a sample, dimensions that are not known counted as 1
    * `convolution`, `depthwise`, `product`: shares of them in Conv and ConvTranspose, in depthwise Conv alone, and in
      Gemm and MatMul
    * `static_int8`, `dynamic_int8`: the share that either method would run in int8 on the target
    * `left_float`: operators that static quantization would leave in float, and how many of each
    """

    macs: int
    convolution: float
    depthwise: float
    product: float
    static_int8: float
    dynamic_int8: float
    left_float: tuple[tuple[str, int], ...]
    weight_bytes: int


@dataclass(frozen=True, kw_only=True)
class Advice:
    """`recipe` is a preset; `reasons` are sentences; `commands` are lines to be run in turn."""

    method: Literal["static", "dynamic", "weight_only"]
    recipe: str
    target: str
    reasons: tuple[str, ...]
    commands: tuple[str, ...]
    facts: ModelFacts


def advise(
    model: ir.Model,
    *,
    data: bool,
    labels: bool = False,
    time_minutes: float | None = None,
    wants: Wants = "speed",
    target: str | None = None,
    path: str | Path = "model.onnx",
) -> Advice:
    """The method for a float model. `data`: there are samples; `labels`: with labels; `path`: for the commands.

    Labels need data. Raises ModelError for a model that is quantized already, TargetError for an unknown target.
    """
    chosen = get_target(target)
    prepared, _ = prepare_float(model, f"'{path}'")
    facts = model_facts(prepared, chosen)
    has_data = data or labels
    method = _method(facts, has_data, wants)
    samples = _samples(facts, time_minutes) if method == "static" else None
    recipe = _recipe(method, wants, samples)
    reasons = [
        *_why(facts, chosen, method, has_data, wants),
        *_what_else(facts, method, labels, time_minutes, samples),
        *_machine(facts, chosen, method),
    ]
    commands = tuple(_commands(str(path), method, recipe, chosen, has_data, labels, samples))
    return Advice(
        method=method,
        recipe=recipe,
        target=chosen.name,
        reasons=tuple(reasons),
        commands=commands,
        facts=facts,
    )


def model_facts(prepared: ir.Model, target: Target) -> ModelFacts:
    """Counts what a prepared float model is made of."""
    cost = macs(prepared)
    total = sum(cost.values())
    static, left_float = _planned(prepared, target)
    nodes = [node for node in prepared.graph if node.name in cost]

    def share(chosen: set[str]) -> float:
        return sum(cost[name] for name in chosen & cost.keys()) / total if total else 0.0

    return ModelFacts(
        macs=total,
        convolution=share({n.name or "" for n in nodes if n.op_type.startswith("Conv")}),
        depthwise=share({n.name or "" for n in nodes if is_depthwise(n)}),
        product=share({n.name or "" for n in nodes if n.op_type in ("Gemm", "MatMul")}),
        static_int8=share(static),
        dynamic_int8=share({n.name or "" for n in nodes if _runs_dynamic(n, target)}),
        left_float=left_float,
        weight_bytes=weight_bytes(prepared),
    )


def _planned(prepared: ir.Model, target: Target) -> tuple[set[str], tuple[tuple[str, int], ...]]:
    """What static quantization would run in int8, and what that works on real numbers it would not."""
    try:
        planned = plan(prepared, target, Recipe.load("default"))
    except (ModelError, RecipeError):  # nothing to quantize: the other methods remain
        return set(), ()
    left = Counter(
        node.op_type
        for node in prepared.graph
        if node.name in planned.float_nodes
        and kind_of(node) not in (Kind.PRESERVING, Kind.CLAMP)
        and all(out.dtype is None or out.dtype.is_floating_point() for out in node.outputs)
    )
    return set(planned.int8_nodes), tuple(left.most_common())


def _runs_dynamic(node: ir.Node, target: Target) -> bool:
    weight = node.inputs[1]
    return (
        node.op_type in target.dynamic
        and constant_of(weight) is not None
        and len(static_shape(weight) or ()) == 2
    )


def _method(facts: ModelFacts, data: bool, wants: Wants) -> Literal["static", "dynamic", "weight_only"]:
    if wants == "size":
        return "weight_only"
    if data and facts.static_int8 > 0:
        return "static"
    return "dynamic" if wants == "speed" and facts.dynamic_int8 >= _MOSTLY else "weight_only"


def _samples(facts: ModelFacts, minutes: float | None) -> int | None:
    """Fewer calibration samples than the recipe's, if its own would take longer; half of the time is for the proof."""
    usual = Recipe.load("default").samples
    if minutes is None or not facts.macs:
        return None
    affordable = int(minutes * 60 / 2 * _MACS_A_SECOND / facts.macs)
    return None if affordable >= usual else max(affordable, _FEWEST_SAMPLES)


def _recipe(method: str, wants: Wants, samples: int | None) -> str:
    if method != "static":
        return method
    if samples is not None:
        return "fast"
    return "accurate" if wants == "accuracy" else "default"


def _why(facts: ModelFacts, target: Target, method: str, data: bool, wants: Wants) -> Iterator[str]:
    size = facts.weight_bytes / 1e6
    match method:
        case "static":
            yield (
                f"there are samples to calibrate on, and {facts.static_int8:.0%} of the multiply-accumulates can run "
                f"in int8 on {target.name}"
            )
            if facts.left_float:
                listed = ", ".join(f"{count} {op}" for op, count in facts.left_float[:5])
                yield f"these stay in float: {listed}" + (", …" if len(facts.left_float) > 5 else "")
            if wants == "accuracy":
                yield "the recipe `accurate` chooses the ranges of weights, too, by the least squared error"
        case "dynamic":
            yield (
                f"there are no samples, and {facts.dynamic_int8:.0%} of the multiply-accumulates are products with "
                f"weights, for which {target.name} quantizes activations as they come"
            )
            yield f"the weights, {size:.1f} MB, shrink to about {size / 4:.1f} MB"
        case _:
            yield (
                f"all weights, {size:.1f} MB, shrink to about {size / 4:.1f} MB; computing stays in float, so that "
                "accuracy suffers least and speed does not change"
            )
            if wants == "speed" and data:
                yield f"nothing in the model can run in int8 on {target.name}, so no method makes it faster"
            elif wants != "size" and not data:
                yield "a hundred samples, without labels, would allow static quantization, which also runs faster"


def _what_else(
    facts: ModelFacts, method: str, labels: bool, minutes: float | None, samples: int | None
) -> Iterator[str]:
    if method == "static" and facts.depthwise > _DEPTHWISE:
        yield (
            f"depthwise convolutions ({facts.depthwise:.0%} of the multiply-accumulates) lose most in int8: keep "
            "weights per channel, and look at `tinyint compare`"
        )
    if samples is not None:
        yield f"{samples} samples and the cheapest calibration, to stay within {minutes:g} minutes"
    if method == "static" and labels:
        yield (
            "if static quantization is not accurate enough, train on with quantization in the loop (QAT): "
            "`tinyint qat -c CONFIG --model-path MODEL`; or keep the worst layers in float with --set 'skip=[…]'"
        )


def _machine(facts: ModelFacts, target: Target, method: str) -> Iterator[str]:
    machine = host()
    if method == "weight_only":
        return
    if target.runtime == "tensorrt" or is_foreign(target.name):
        yield f"{target.name} cannot be measured on this machine: try the model on its own"
    else:
        yield f"on this machine: {expected_gain(machine)}"
    reachable = facts.static_int8 if method == "static" else facts.dynamic_int8
    if 0 < reachable < _MOSTLY:
        yield f"only {reachable:.0%} of the multiply-accumulates get faster, so the whole gains little"
    if method == "static" and target.runtime == "onnxruntime" and machine.is_x86 and _has_openvino():
        yield "OpenVINO is installed here: quantize with --target openvino too, and let `tinyint bench` decide"


def _has_openvino() -> bool:
    return get_runtime("openvino").available() is not None


def _commands(
    path: str, method: str, recipe: str, target: Target, data: bool, labels: bool, samples: int | None
) -> Iterator[str]:
    output = str(Path(path).with_suffix(".int8.onnx"))
    model, out = shlex.quote(path), shlex.quote(output)
    calibration = " --data DATA" if method == "static" else ""
    count = f" --samples {samples}" if samples is not None else ""
    chosen = f" --recipe {recipe} --target {target.name}"
    yield f"tinyint quantize {model} -o {out}{calibration}{chosen}{count}"
    runtime = f" --runtime {target.runtime}" if target.runtime != "onnxruntime" else ""
    if target.runtime == "tensorrt":
        return
    if labels:
        yield f"tinyint evaluate {out} --data DATA{runtime}"
    if data:
        yield f"tinyint compare {model} {out} --data DATA"
    yield f"tinyint bench {model} {out}{runtime}"
