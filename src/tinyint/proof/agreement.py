"""An int8 model in its runtime, beside the module that was trained for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tinyint.data import Sample
from tinyint.graph.source import ModelSource, graph_of
from tinyint.proof.compared import Compared
from tinyint.runtimes import Runtime, Session
from tinyint.runtimes.outputs import tensors_of

__all__ = ["Agreement", "agreement"]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Agreement of outputs; the LSB of one is as in `Verification`.

    * `runtime`: where the int8 model ran; `samples`: how many
    * `same_top1`: share of rows with the same highest class in the first output of shape (N, classes), ties left out;
      None where there are no such rows
    * `ties`: rows left out: the runtime's highest class is another one, and the module's two highest are within 1 LSB
    * `within_1_lsb`: share of output elements that are at most 1 LSB apart, over all outputs; None without any
    """

    runtime: str
    samples: int
    same_top1: float | None
    ties: int
    within_1_lsb: float | None


def agreement(
    reference: Session, int8_model: ModelSource, samples: Iterable[Sample], *, runtime: Runtime
) -> Agreement:
    """Agreement of the int8 model with `reference`, in place of the simulation.

    The reference computes as the int8 model should, in the place of the simulation in `verify`.

    Raises ModelError where the runtime cannot load the model.
    """
    session = runtime.open(int8_model)
    compared = Compared.of(graph_of(int8_model))
    for sample in samples:
        expected = tensors_of(reference.run_transient(sample.inputs))
        compared.add(expected, tensors_of(session.run_transient(sample.inputs)), expected)
    classes, over = compared.classifying(), compared.over_1_lsb()
    ties = 0 if classes is None else classes.ties()
    rows = 0 if classes is None else classes.classified - ties
    return Agreement(
        runtime=runtime.name,
        samples=compared.samples,
        same_top1=None if classes is None or not rows else classes.agreeing / rows,
        ties=ties,
        within_1_lsb=None if over is None else 1.0 - over,
    )
