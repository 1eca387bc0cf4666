"""Trial runs: planned nodes that a runtime does not take in int8.

A target's facts say what its runtime runs in int8. Its optimizer has the last word: on some graphs it fails, or makes
of them something else. Such nodes stay in float, and the rest of the model in int8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.passes.exact_products import exact_products
from tinyint.graph.walk import ancestors
from tinyint.numbers.numerics import Array
from tinyint.quantization.plan import Plan
from tinyint.runtimes import Feeds, Runtime, Session, get_runtime
from tinyint.runtimes.host import host
from tinyint.targets import Target

__all__ = ["TRIAL_SAMPLES", "Trial", "tried"]

TRIAL_SAMPLES = 4

_MOST = 16  # nodes, each of which costs log2(nodes) loadings
_TIMES = 4.0  # the simulation's noise power: that of a few samples varies by less
_NEGLIGIBLE_DB = 40.0
_JUMPS = frozenset({
    "ArgMax", "ArgMin", "Hardmax", "TopK", "NonMaxSuppression", "NonZero", "Compress", "Unique", "If", "Loop", "Scan",
    "Floor", "Ceil", "Round", "Sign", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Div", "Mod",
    "Reciprocal",
})  # fmt: skip
"""Operators whose results differ without bounds where their inputs differ by a hair."""


Outputs: TypeAlias = list[dict[str, Array]]


class Planned(Protocol):
    """A quantized graph and its plan."""

    @property
    def plan(self) -> Plan: ...

    @property
    def model(self) -> ir.Model: ...


P = TypeVar("P", bound=Planned)


@dataclass(kw_only=True)
class Trial:
    """Runs samples, `feeds`, through quantized forms of `prepared` on the target's runtime.

    Without samples a model only has to load, and on a processor that cuts sums its results only need their shapes.
    """

    prepared: ir.Model
    target: Target
    feeds: Sequence[Feeds]
    _float: Outputs = field(default_factory=list, init=False)

    @property
    def runtime(self) -> Runtime | None:
        """The target's runtime; None where it does not run."""
        runtime, cpu = get_runtime(self.target.runtime), self.target.cpu
        runs = runtime.available() and cpu.family != "gpu" and cpu.runs_on(host())
        return runtime if runs else None

    def fault(self, model: ir.Model) -> str | None:
        """Fault of the runtime with `model`, in one thread or in all; or None."""
        runtime = self.runtime
        assert runtime is not None
        simulated = self._simulated(model)
        for threads in dict.fromkeys((1, host().cores)):
            kind = self._fault(runtime, model, threads, simulated)
            if kind is not None:
                return f"{runtime.name} {runtime.available()} {kind} with it in int8"
        return None

    def _fault(self, runtime: Runtime, model: ir.Model, threads: int, simulated: Outputs) -> str | None:
        try:
            session = runtime.open(model, threads=threads)
            outputs = [_run(session, feeds) for feeds in self.feeds]
        except ModelError:
            return "does not run the model"
        floats = self._floats()
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
        return [_run(session, feeds) for feeds in self.feeds]

    def _floats(self) -> Outputs:
        """The float results that are fit to be compared."""
        if not self._float and self.feeds:
            smooth = {value.name for value in self.prepared.graph.outputs if not _jumps(value)}
            session = get_runtime("onnxruntime").open(self.prepared)
            for feeds in self.feeds:
                outputs = _run(session, feeds).items()
                self._float.append({n: a for n, a in outputs if n in smooth and a.dtype.kind == "f"})
        return self._float


def tried(trial: Trial, build: Callable[[Mapping[str, str]], P]) -> P:
    """Quantized model of `build`, without int8 nodes on which the runtime fails.

    `build` takes the nodes that stay in float, each with its reason. A model that fails in float as well, or still
    after 16 nodes, comes back as it is: the proof tells. Raises ModelError, from `build`, where nothing is left.
    """
    attempt = build({})
    if trial.runtime is None or (fault := trial.fault(attempt.model)) is None:
        return attempt
    if trial.fault(trial.prepared) is not None:
        return attempt  # it does not take the float model either
    held: dict[str, str] = {}
    while fault is not None and len(held) < _MOST:
        held[_culprit(trial, build, attempt.plan.int8_nodes, held)] = fault
        attempt = build(held)
        fault = trial.fault(attempt.model)
    return attempt


def _run(session: Session, feeds: Feeds) -> dict[str, Array]:
    """The outputs; a model may lack inputs of which it makes nothing."""
    return session.run({spec.name: feeds[spec.name] for spec in session.inputs if spec.name in feeds})


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
    """Whether an operator with jumps is among the ancestors of the value."""
    return any(
        node.op_type in _JUMPS or (node.op_type == "Cast" and not _to_float(node))
        for node in ancestors(output)
    )


def _to_float(node: ir.Node) -> bool:
    return ir.DataType(node.attributes.get_int("to", 1)).is_floating_point()
