"""Distances between the outputs of a float graph and of its int8 forms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from tinyint.numbers.distance import NoiseSum
from tinyint.numbers.numerics import Array
from tinyint.runtimes import Feeds, get_runtime
from tinyint.runtimes.base import Session

__all__ = ["distances"]


def distances(exact: ir.Model, int8: Sequence[ir.Model], samples: Sequence[Feeds]) -> list[float]:
    """Mean SQNR over the float outputs of each int8 graph, dB.

    Op by op, so that no processor makes a difference. Infinite where no output has noise. Raises ModelError where a
    graph does not run.
    """
    runtime = get_runtime("onnxruntime")
    reference = runtime.open(exact)
    expected = [reference.run(feeds) for feeds in samples]
    return [_distance(runtime.open(graph, optimize=False), samples, expected) for graph in int8]


def _distance(
    simulation: Session, samples: Sequence[Feeds], expected: Sequence[Mapping[str, Array]]
) -> float:
    noises = dict[str, NoiseSum]()
    for feeds, ours in zip(samples, expected, strict=True):
        theirs = simulation.run(feeds)
        for name, array in ours.items():
            other = theirs[name]
            if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.shape == other.shape:
                noises.setdefault(name, NoiseSum()).add(array, other)
    known = [noise.sqnr_db for noise in noises.values() if math.isfinite(noise.sqnr_db)]
    return float(np.mean(known)) if known else math.inf
