"""Advice on the method, from the model, the machine, and the user's means."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import onnx_ir as ir

from tinyint.advice.effort import FEWEST_LABELLED, Effort, affordable_samples, qat_effort
from tinyint.errors import ModelError, RecipeError
from tinyint.graph.io import weight_bytes
from tinyint.graph.names import name_of
from tinyint.graph.ops import Kind, is_convolution, is_depthwise, is_weighted, kind_of
from tinyint.graph.prepare import prepare_float
from tinyint.graph.walk import constant_of, macs, static_shape
from tinyint.quantization.plan import plan
from tinyint.quantization.recipe import Recipe
from tinyint.quantization.weight_only import storable_bytes
from tinyint.runtimes import get_runtime
from tinyint.runtimes.host import Host, expected_gain, host
from tinyint.targets import TARGETS, Target, default_target, get_target, limited_target

__all__ = ["Advice", "Given", "ModelFacts", "Wants", "advise", "model_facts"]

Wants = Literal["size", "speed", "accuracy"]
Method = Literal["static", "dynamic", "weight_only", "qat"]

_MOSTLY = 0.5
_DEPTHWISE = 0.01
"""Share of depthwise convolutions that matters: they have few multiply-accumulates even as every second layer."""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """Composition of a float model, with regard to a target.

    * `macs`: multiply-accumulates per sample; an unknown dimension counts as 1
    * `convolution`, `depthwise`, `product`: their shares in Conv and ConvTranspose, in depthwise Conv, and in Gemm and
      MatMul
    * `static_int8`, `dynamic_int8`: shares that the method would run in int8 on the target
    * `left_float`: operators that static quantization would leave in float, with their counts
    * `storable_bytes`: bytes of the weights that weight-only quantization stores in integers
    """

    macs: int
    convolution: float
    depthwise: float
    product: float
    static_int8: float
    dynamic_int8: float
    left_float: tuple[tuple[str, int], ...]
    weight_bytes: int
    storable_bytes: int


@dataclass(frozen=True, kw_only=True)
class Given:
    """The user's data and time.

    * `data`, `val`: names, for the commands, of the samples for calibration and training, and of those for evaluation;
      None: there are none
    * `samples`: number of samples in `data`; None if unknown
    * `labels`: whether they have labels
    * `minutes`: time for everything; None if unknown
    """

    data: str | None = None
    val: str | None = None
    samples: int | None = None
    labels: bool = False
    minutes: float | None = None


@dataclass(frozen=True, kw_only=True)
class Advice:
    """Advised method and recipe, with sentences of `reasons`, and `commands` to run in turn."""

    method: Method
    recipe: str
    target: str
    reasons: tuple[str, ...]
    commands: tuple[str, ...]
    facts: ModelFacts


def advise(
    model: ir.Model,
    given: Given | None = None,
    *,
    wants: Wants = "speed",
    target: str | None = None,
    path: str | Path = "model.onnx",
) -> Advice:
    """Method for a float model, from the user's data and time, and this processor.

    `path`: path of the model in the commands. Raises ModelError if the model is quantized already, TargetError for an
    unknown target.
    """
    given, backend, machine = given or Given(), get_target(target), host()
    prepared, _ = prepare_float(model, f"'{path}'")
    facts = model_facts(prepared, backend)
    effort = qat_effort(facts.macs, given.samples, machine)
    gains = backend.cpu.lacks(machine) is None
    method = _method(facts, given, wants, effort, gains)
    samples = affordable_samples(facts.macs, given.minutes) if method == "static" else None
    recipe = _recipe(method, wants, samples)
    reasons = [
        *_method_reasons(facts, backend, method, given, wants, effort),
        *_hints(facts, method, given, effort, samples),
        *_machine_facts(facts, backend, method, machine),
    ]
    return Advice(
        method=method,
        recipe=recipe,
        target=backend.name,
        reasons=tuple(reasons),
        commands=tuple(_commands(str(path), method, recipe, backend, given, effort, samples)),
        facts=facts,
    )


def model_facts(prepared: ir.Model, target: Target) -> ModelFacts:
    """Composition of a prepared float model."""
    cost = macs(prepared)
    total = sum(cost.values())
    static, left_float = _planned(prepared, target)
    nodes = [node for node in prepared.graph if node.name in cost]

    def share(names: set[str]) -> float:
        return sum(cost[name] for name in names & cost.keys()) / total if total else 0.0

    return ModelFacts(
        macs=total,
        convolution=share({name_of(n) for n in nodes if is_convolution(n)}),
        depthwise=share({name_of(n) for n in nodes if is_depthwise(n)}),
        product=share({name_of(n) for n in nodes if is_weighted(n) and not is_convolution(n)}),
        static_int8=share(static),
        dynamic_int8=share({name_of(n) for n in nodes if _runs_dynamic(n, target)}),
        left_float=left_float,
        weight_bytes=weight_bytes(prepared),
        storable_bytes=storable_bytes(prepared),
    )


def _planned(prepared: ir.Model, target: Target) -> tuple[set[str], tuple[tuple[str, int], ...]]:
    """Names of the int8 nodes of static quantization, and counts of the float operators."""
    try:
        planned = plan(prepared, target, Recipe.load("default"))
    except (ModelError, RecipeError):  # nothing to quantize: the other methods remain
        return set(), ()
    float_operators = Counter(
        node.op_type
        for node in prepared.graph
        if node.name in planned.float_nodes
        and kind_of(node) not in (Kind.PRESERVING, Kind.CLAMP)
        and all(out.dtype is None or out.dtype.is_floating_point() for out in node.outputs)
    )
    return set(planned.int8_nodes), tuple(float_operators.most_common())


def _runs_dynamic(node: ir.Node, target: Target) -> bool:
    weight = node.inputs[1]
    return (
        node.op_type in target.dynamic
        and constant_of(weight) is not None
        and len(static_shape(weight) or ()) == 2
    )


def _method(facts: ModelFacts, given: Given, wants: Wants, effort: Effort, gains: bool) -> Method:
    if wants == "size" or not gains:
        return "weight_only"
    if given.data is not None and facts.static_int8 > 0:
        return "qat" if _can_train(given, effort) else "static"
    return "dynamic" if wants == "speed" and facts.dynamic_int8 >= _MOSTLY else "weight_only"


def _can_train(given: Given, effort: Effort) -> bool:
    """Whether labels and time suffice for training, which is never worse than calibration."""
    if not given.labels or (given.samples is not None and given.samples < FEWEST_LABELLED):
        return False
    return given.minutes is not None and effort.minutes <= given.minutes


def _recipe(method: str, wants: Wants, samples: int | None) -> str:
    if method not in ("static", "qat"):
        return method
    if samples is not None:
        return "fast"
    return "accurate" if wants == "accuracy" else "default"


def _method_reasons(
    facts: ModelFacts, target: Target, method: str, given: Given, wants: Wants, effort: Effort
) -> Iterator[str]:
    size = facts.weight_bytes / 1e6
    match method:
        case "static" | "qat":
            yield (
                f"there are samples to calibrate on, and {facts.static_int8:.0%} of the multiply-accumulates can run "
                f"in int8 on {target.name}"
            )
            if facts.left_float:
                listed = ", ".join(f"{count} {op}" for op, count in facts.left_float[:5])
                yield f"these stay in float: {listed}" + (", …" if len(facts.left_float) > 5 else "")
            if wants == "accuracy":
                yield (
                    "the recipe `accurate` also chooses the ranges of weights by the least squared error, and "
                    "corrects biases"
                )
            if method == "qat":
                yield (
                    f"the samples have labels, and {effort.iters} iterations of training with quantization in the loop "
                    f"(QAT) take about {_minutes(effort.minutes)} here; {_minutes(given.minutes or 0)} are given. It "
                    "starts from the calibrated model, measures that first, and keeps the best"
                )
        case "dynamic":
            yield (
                f"there are no samples, and {facts.dynamic_int8:.0%} of the multiply-accumulates are products with "
                f"weights, for which {target.name} quantizes activations as they come"
            )
            yield f"the weights, {size:.1f} MB, shrink to about {size / 4:.1f} MB"
        case _:
            yield (
                f"the weights, {size:.1f} MB, shrink to about {size - facts.storable_bytes * 0.75e-6:.1f} MB; "
                "computing stays in float, so that accuracy suffers least and speed does not change"
            )
            lacks = target.cpu.lacks(host())
            if wants != "size" and lacks is not None:
                yield f"this processor has no {lacks}, so that int8 would run no faster than float here"
            elif wants == "speed" and given.data is not None:
                yield f"nothing in the model can run in int8 on {target.name}, so no method makes it faster"
            elif wants != "size" and given.data is None:
                yield "a hundred samples, without labels, would allow static quantization, which also runs faster"


def _hints(
    facts: ModelFacts, method: str, given: Given, effort: Effort, samples: int | None
) -> Iterator[str]:
    if method in ("static", "qat") and facts.depthwise > _DEPTHWISE:
        yield (
            f"depthwise convolutions ({facts.depthwise:.0%} of the multiply-accumulates) lose most in int8: keep "
            "weights per channel, and look at `tinyint compare`"
        )
    if samples is not None:
        yield f"{samples} samples and the cheapest calibration, to stay within {_minutes(given.minutes or 0)}"
    if method == "static":
        yield from _training_hint(given, effort)
    if method == "qat" and find_spec("torch") is None:
        yield 'training needs torch: pip install "tinyint[train]"'
    if given.val is None and (method == "qat" or (given.labels and not _holds_out(given, samples))):
        yield (
            "VAL stands for labelled samples that nothing is calibrated or trained on, to judge by: name them by --val"
        )


def _training_hint(given: Given, effort: Effort) -> Iterator[str]:
    """Next steps if static quantization is not accurate enough."""
    worst = "keep the worst layers in float with --set 'skip=[…]'"
    if not given.labels:
        yield f"if it is not accurate enough, {worst}; training (QAT) would need labels, or the float model as teacher"
    elif given.samples is not None and given.samples < FEWEST_LABELLED:
        yield (
            f"{given.samples} labelled samples are too few for training with quantization in the loop (QAT), which "
            f"would learn them by heart; {FEWEST_LABELLED} are a start. If the model is not accurate enough, {worst}"
        )
    elif given.minutes is None:
        yield (
            "if it is not accurate enough, train on with quantization in the loop (QAT), about "
            f"{_minutes(effort.minutes)} here: --minutes says how long it may take; or {worst}"
        )
    else:
        yield (
            f"training with quantization in the loop (QAT) would take about {_minutes(effort.minutes)} here, more than "
            f"the {_minutes(given.minutes)} that there are; if the model is not accurate enough, {worst}"
        )


def _minutes(minutes: float) -> str:
    return f"{minutes / 60:.3g} hours" if minutes >= 120 else f"{max(minutes, 0.1):.2g} minutes"


def _machine_facts(facts: ModelFacts, target: Target, method: str, machine: Host) -> Iterator[str]:
    if method == "weight_only":
        return
    if target.build_commands is not None or not target.cpu.runs_on(machine):
        yield f"{target.name} cannot be measured on this machine: try the model on its own"
    elif target.cpu.saturates_on(machine):
        limited = limited_target(target.runtime)
        here = f"; here, take --target {limited.name}" if limited else ""
        yield (
            f"this processor has no VNNI, so that sums of 8-bit products saturate in what is made for {target.name}: "
            f"the model is for another one{here}"
        )
    else:
        yield f"on this machine: {expected_gain(machine)}"
    reachable = facts.dynamic_int8 if method == "dynamic" else facts.static_int8
    if 0 < reachable < _MOSTLY:
        yield f"only {reachable:.0%} of the multiply-accumulates get faster, so the whole gains little"
    rival = _rival(target, machine)
    if method == "static" and rival is not None:
        yield f"{rival.runtime} is here, too: quantize with --target {rival.name} too, and let `tinyint bench` decide"


def _rival(target: Target, machine: Host) -> Target | None:
    """This machine's target on another installed runtime, for a target on the default one."""
    if target.runtime != default_target(machine).runtime or not target.cpu.runs_on(machine):
        return None
    others = (t for t in TARGETS.values() if t.runtime != target.runtime and t.cpu.is_of(machine))
    return next((other for other in others if get_runtime(other.runtime).available()), None)


def _holds_out(given: Given, samples: int | None) -> bool:
    """Whether the data may have samples beyond those for calibration."""
    most = samples or Recipe.load("default").limit
    return most is not None and (given.samples is None or given.samples > most)


def _commands(
    path: str,
    method: str,
    recipe: str,
    target: Target,
    given: Given,
    effort: Effort,
    samples: int | None,
) -> Iterator[str]:
    """Commands that quantize, train, evaluate on unseen samples, compare and time the model."""
    stem = str(Path(path).with_suffix(""))
    output = f"{stem}-qat/best_model" if method == "qat" else f"{stem}.int8.onnx"
    data, val = given.data or "DATA", given.val or "VAL"
    line = [
        "quantize",
        path,
        "-o",
        f"{stem}.int8.onnx",
        *(["--data", data] if method in ("static", "qat") else []),
    ]
    line += ["--recipe", recipe, "--target", target.name]
    yield _line(*line, *([] if samples is None else ["--samples", str(samples)]))
    if method == "qat":
        keys = [f"data.train={data}", f"data.val={val}", f"quantization.target={target.name}"]
        keys += [f"quantization.recipe={recipe}"] if recipe != "default" else []
        limits = ["--iters", str(effort.iters), "--learning-rate", "0.001", "--save-dir", f"{stem}-qat"]
        yield _line("qat", "--model-path", path, "-o", *keys, *limits)
    if target.build_commands is not None:
        return
    runtime = [] if target.runtime == "onnxruntime" else ["--runtime", target.runtime]
    unseen = ["--data", val]
    if given.val is None and method != "qat" and _holds_out(given, samples):
        unseen = ["--data", data]
        unseen += ["--skip", str(samples or Recipe.load("default").samples)] if method == "static" else []
    if given.labels:
        yield _line("evaluate", output, *unseen, "--against", path, *runtime)
    if given.data is not None:
        yield _line("compare", path, output, "--data", data)
    yield _line("bench", path, output, *runtime)


def _line(*words: str) -> str:
    return "tinyint " + shlex.join(words)
