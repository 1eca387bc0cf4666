"""Trial runs: planned nodes that a runtime does not take in int8.

A target's facts say what its runtime runs in int8. Its optimizer has the last word: on some graphs it fails, or makes
of them something else. Such nodes stay in float, and the rest of the model in int8.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self, TypeVar

import numpy as np
import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.passes.exact_products import exact_products
from tinyint.graph.source import model_label
from tinyint.graph.walk import ancestors, inner_nodes
from tinyint.numbers.numerics import Array
from tinyint.quantization.plan import Plan
from tinyint.runtimes import Feeds, Runtime, get_runtime
from tinyint.runtimes.apart import Apart, Failure, Outputs, run, run_all
from tinyint.runtimes.host import host
from tinyint.targets import Target

__all__ = ["JUMPS", "TRIAL_SAMPLES", "Fault", "Trial", "tried"]

TRIAL_SAMPLES = 4

_MOST = 16  # nodes, each of which costs log2(nodes) loadings
_LEAST_SECONDS = 120.0  # and 100 times the float run, which has all cores: then a run counts as endless
_TIMES_FLOAT = 100.0
_TIMES = 4.0  # the simulation's noise power: that of a few samples varies by less
_NEGLIGIBLE_DB = 40.0
JUMPS = frozenset({
    "ArgMax", "ArgMin", "Hardmax", "TopK", "NonMaxSuppression", "NonZero", "Compress", "Unique", "If", "Floor", "Ceil",
    "Round", "Sign", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Div", "Mod", "Reciprocal",
    "Shrink", "ThresholdedRelu",
})  # fmt: skip
"""Operators whose results differ without bounds, or by a step, where their inputs differ by a hair."""


class Planned(Protocol):
    """A quantized graph and its plan."""

    @property
    def plan(self) -> Plan: ...

    @property
    def model(self) -> ir.Model: ...


P = TypeVar("P", bound=Planned)


@dataclass(frozen=True)
class Fault:
    """Fault of a runtime with a model; `fatal`: it takes the process down."""

    told: str
    fatal: bool = False


@dataclass(kw_only=True)
class Trial:
    """Runs samples, `feeds`, through quantized forms of `prepared` on the target's runtime.

    In a child process, for as long as the context lasts, where the runtime may end it. Without samples a model only has
    to load, and on a processor that cuts sums its results only need their shapes.
    """

    prepared: ir.Model
    target: Target
    feeds: Sequence[Feeds]
    _floats: Outputs | None = field(default=None, init=False)
    _seconds: float = field(default=_LEAST_SECONDS, init=False)
    _apart: Apart | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        if self.runtime is not None and not self.runtime.safe:
            self._apart = Apart(self.runtime.name)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._apart is not None:
            self._apart.leave()
            self._apart = None

    @property
    def runtime(self) -> Runtime | None:
        """The target's runtime; None where it does not run."""
        runtime, cpu = get_runtime(self.target.runtime), self.target.cpu
        runs = runtime.available() and cpu.family != "gpu" and cpu.runs_on(host())
        return runtime if runs else None

    @property
    def label(self) -> str:
        return model_label(self.prepared)

    def fault(self, model: ir.Model) -> Fault | None:
        """Fault of the runtime with `model`, in one thread or in all; or None."""
        fresh = self._apart is None or self._apart.fresh
        simulated = self._simulated(model)
        fault = self._first_fault(model, simulated)
        if fault is not None and fault.fatal and not fresh:
            return self._first_fault(model, simulated)  # an earlier model may have damaged the child's memory
        return fault

    def _first_fault(self, model: ir.Model, simulated: Outputs) -> Fault | None:
        runtime = self.runtime
        assert runtime is not None
        for threads in dict.fromkeys((1, host().cores)):
            kind = self._kind(runtime, model, threads, simulated)
            if kind is not None:
                fatal = isinstance(kind, Failure) and kind.fatal
                return Fault(f"{runtime.name} {runtime.available()} {kind}", fatal)
        return None

    def _kind(self, runtime: Runtime, model: ir.Model, threads: int, simulated: Outputs) -> str | None:
        floats = self._float_outputs()
        if self._apart is None:
            outputs = run_all(runtime.name, model, threads, self.feeds)
        else:
            outputs = self._apart.run_all(model, threads, self.feeds, self._seconds)
        if isinstance(outputs, Failure):
            return outputs
        for expected, found in zip(floats, outputs, strict=True):
            if any(found[name].shape != array.shape for name, array in expected.items()):
                return "gives results of another shape"
        names = floats[0] if simulated else ()
        wrong = any(_differ(*(_joined(o, name) for o in (floats, simulated, outputs))) for name in names)
        return "computes something else than the model says" if wrong else None

    def _simulated(self, model: ir.Model) -> Outputs:
        """Results of `model` op by op; none where those of the runtime are not held to them."""
        if model is self.prepared or not self.feeds or self.target.cpu.saturates_on(host()):
            return []
        session = get_runtime("onnxruntime").open(exact_products(model), optimize=False)
        return [run(session, feeds) for feeds in self.feeds]

    def _float_outputs(self) -> Outputs:
        """The float results that are fit to be compared. What they take says what time a trial may take."""
        if self._floats is None:
            start = time.perf_counter()
            smooth = {value.name for value in self.prepared.graph.outputs if not _jumps(value)}
            outputs: Outputs = []
            if self.feeds:
                session = get_runtime("onnxruntime").open(self.prepared)
                outputs = [run(session, feeds) for feeds in self.feeds]
            self._floats = [{n: a for n, a in o.items() if n in smooth and _is_float(a)} for o in outputs]
            self._seconds += _TIMES_FLOAT * (time.perf_counter() - start)
        return self._floats


def tried(trial: Trial, build: Callable[[Mapping[str, str]], P]) -> P:
    """Quantized model of `build`, without int8 nodes on which the runtime fails.

    `build` takes the nodes that stay in float, each with its reason. A model that fails in float as well, or still
    after 16 nodes, comes back as it is: the proof tells. Raises ModelError where it would end the process of the proof,
    and, from `build`, where nothing is left.
    """
    attempt = build({})
    if trial.runtime is None or (fault := trial.fault(attempt.model)) is None:
        return attempt
    if (in_float := trial.fault(trial.prepared)) is not None:  # it does not take the float model either
        _require_alive(trial, fault, in_float)
        return attempt
    held: dict[str, str] = {}
    while fault is not None and len(held) < _MOST:
        held[_culprit(trial, build, attempt.plan.int8_nodes, held)] = f"{fault.told} with it in int8"
        attempt = build(held)
        fault = trial.fault(attempt.model)
    _require_alive(trial, fault)
    return attempt


def _require_alive(trial: Trial, *faults: Fault | None) -> None:
    """Raises ModelError for a fault that would take down the process of the proof, and the user's later."""
    fatal = next((fault for fault in faults if fault is not None and fault.fatal), None)
    if fatal is not None:
        raise ModelError(
            f"{trial.label}: {fatal.told} with it, and leaving nodes in float does not help; quantize for "
            "another target, and please report it to those who make the runtime"
        )


def _culprit(
    trial: Trial,
    build: Callable[[Mapping[str, str]], P],
    nodes: tuple[str, ...],
    held: Mapping[str, str],
) -> str:
    """The last of the fewest first nodes in int8 with which the runtime fails."""
    fine, failing = 0, len(nodes)
    while failing - fine > 1:
        middle = (fine + failing) // 2
        if _fails(trial, build, {**held, **dict.fromkeys(nodes[middle:], "")}):
            failing = middle
        else:
            fine = middle
    return nodes[failing - 1]


def _fails(trial: Trial, build: Callable[[Mapping[str, str]], P], held: Mapping[str, str]) -> bool:
    try:
        attempt = build(held)
    except ModelError:
        return False  # nothing is left for int8
    return trial.fault(attempt.model) is not None


def _joined(outputs: Sequence[Mapping[str, Array]], name: str) -> Array:
    return np.concatenate([o[name].astype(np.float64).ravel() for o in outputs])


def _differ(expected: Array, simulated: Array, found: Array) -> bool:
    """Whether the noise of `found` is gross beside the simulation's, and above 1 LSB.

    The LSB is 1/255 of the range.
    """
    if not np.isfinite(expected).all() or not np.isfinite(simulated).all():
        return False
    noise, wanted = (float(((expected - a) ** 2).sum()) for a in (found, simulated))
    allowed = max(_TIMES * wanted, float((expected**2).sum()) * 10 ** (-_NEGLIGIBLE_DB / 10))
    lsb = (simulated.max(initial=0) - simulated.min(initial=0)) / 255
    return not noise <= allowed and float(((simulated - found) ** 2).mean()) > lsb**2


def _jumps(output: ir.Value) -> bool:
    """Whether an operator with jumps, be it in a body, is among the ancestors of the value."""
    return any(_has_jumps(node) or any(map(_has_jumps, inner_nodes(node))) for node in ancestors(output))


def _has_jumps(node: ir.Node) -> bool:
    return node.op_type in JUMPS or (node.op_type == "Cast" and not _to_float(node))


def _is_float(output: object) -> bool:
    return isinstance(output, np.ndarray) and output.dtype.kind == "f"  # a sequence is a list


def _to_float(node: ir.Node) -> bool:
    return ir.DataType(node.attributes.get_int("to", 1)).is_floating_point()
