"""Closeness of an int8 model to float, sample by sample.

So two can be told apart from chance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from tinyint.data import Sample
from tinyint.numbers.numerics import Array
from tinyint.proof.compared import Compared
from tinyint.proof.verdict import TOLERATED_DB
from tinyint.proof.verify import OutputProof, Verification, conclude
from tinyint.runtimes import Session
from tinyint.runtimes.outputs import tensors_of

__all__ = ["Closeness", "shortfalls_beside"]

_TOLERATED_SHARE = 0.01
_DRAWS, _CHANCE, _SEED = 1000, 0.05, 0


@dataclass(frozen=True, kw_only=True)
class Closeness:
    """Figures beside float; `noises`: squared error of each float output in each sample."""

    proof: Verification
    noises: Mapping[str, Array]

    @classmethod
    def of(
        cls,
        graph: ir.Graph,
        session: Session,
        samples: Sequence[Sample],
        expected: Sequence[Mapping[str, Array]],
    ) -> Closeness:
        """Runs `samples` on the session of `graph`.

        `expected`: the float model's outputs. Raises as `Session.run`.
        """
        compared, totals = Compared.of(graph), defaultdict[str, list[float]](list)
        for sample, floats in zip(samples, expected, strict=True):
            compared.add(floats, tensors_of(session.run_transient(sample.inputs)), None)
            for name, output in compared.outputs.items():
                totals[name].append(output.noise.noise)
        proof = conclude(compared, held_out=True, runtime="simulation")
        return cls(proof=proof, noises={name: np.diff(sums, prepend=0.0) for name, sums in totals.items()})


def shortfalls_beside(ours: Closeness, planned: Closeness) -> Iterator[str]:
    """Outputs that are worse than those of `planned`, each as a clause.

    By more than 1 dB and beyond chance (the bootstrap over the samples, p < 0.05), or in more than one row of a
    hundred (but one row).
    """
    for name, output in ours.proof.outputs.items():
        other = planned.proof.outputs[name]
        far, near = output.sqnr_db, other.sqnr_db
        worse = far is not None and near is not None and far < near - TOLERATED_DB
        if worse and _noisier(ours.noises[name], planned.noises[name]):
            yield f"output {name!r} is {far:.1f} dB from float, the plan's {near:.1f} dB"
        for what, share, theirs, rows in _shares(output, other):
            if theirs - share > max(_TOLERATED_SHARE, 1.5 / rows):
                yield f"{share:.1%} of {what} of output {name!r} are as in float, of the plan's {theirs:.1%}"


def _noisier(ours: Array, planned: Array) -> bool:
    """Whether the noise of `ours` is more beyond chance, also among few samples that hold most of it."""
    picked = np.random.default_rng(_SEED).integers(0, len(ours), (_DRAWS, len(ours)))
    less = (ours[picked].sum(axis=1) <= planned[picked].sum(axis=1)).mean()
    return bool(less < _CHANCE)


def _shares(output: OutputProof, planned: OutputProof) -> Iterator[tuple[str, float, float, float]]:
    """(what, share, the plan's share, rows) of each share that is known."""
    for what, share, theirs, rows in (
        ("the highest classes", output.top1_agreement, planned.top1_agreement, output.classified),
        ("the elements", output.equal, planned.equal, 0),
        ("the selected rows", output.rows_matched, planned.rows_matched, 0),
    ):
        if share is not None and theirs is not None:
            yield what, share, theirs, rows or np.inf
