"""Distance between the outputs of a float graph and of its int8 form."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from tinyint.numbers.distance import NoiseSum
from tinyint.runtimes import Feeds, get_runtime

__all__ = ["distance"]


def distance(exact: ir.Model, int8: ir.Model, samples: Sequence[Feeds]) -> float:
    """Mean SQNR over the float outputs, dB.

    Op by op, so that no processor makes a difference. Infinite where no output has noise. Raises ModelError where a
    graph does not run.
    """
    runtime, noises = get_runtime("onnxruntime"), dict[str, NoiseSum]()
    reference, simulation = runtime.open(exact), runtime.open(int8, optimize=False)
    for feeds in samples:
        ours, theirs = reference.run(feeds), simulation.run(feeds)
        for name, array in ours.items():
            other = theirs[name]
            if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.shape == other.shape:
                noises.setdefault(name, NoiseSum()).add(array, other)
    known = [noise.sqnr_db for noise in noises.values() if math.isfinite(noise.sqnr_db)]
    return float(np.mean(known)) if known else math.inf
