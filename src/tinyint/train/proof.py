"""The exported int8 model in its runtime, held against the module that was trained."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tinyint.data import Sample
from tinyint.numerics import Array
from tinyint.qat.qat_module import QatModule
from tinyint.runtimes import get_runtime, here
from tinyint.tasks.learning.logits import tensors_of

__all__ = ["prove"]

_SLACK = 1e-3  # of an LSB: what float32 makes of two neighbouring codes


@torch.no_grad()
def prove(module: QatModule, model: Path, samples: Iterable[Sample]) -> dict[str, Any]:
    """How alike they are. An LSB is the scale of an output's quantizer; where it has none, 1/255 of its range.

    * `runtime`: where the int8 model ran: its own, or onnxruntime where that is not installed
    * `samples`: how many
    * `same_top1`: share of rows with the same highest class in the first output of shape (N, classes), ties apart;
      None where there are no such rows
    * `ties`: rows apart: the runtime's highest class is another one, and the module's two highest are within 1 LSB
    * `within_1_lsb`: share of output elements that are at most 1 LSB apart, over all outputs
    """
    runtime = here(get_runtime(module.origin.target.runtime))
    session = runtime.open(model)
    device = next(module.parameters()).device
    training = module.training
    module.eval()
    count = same = ties = rows = near = elements = 0
    for sample in samples:
        inputs = {name: torch.from_numpy(array).to(device) for name, array in sample.inputs.items()}
        ours = [tensor.cpu().numpy() for tensor in tensors_of(module(**inputs))]
        theirs = session.run(sample.inputs)
        for position, (name, expected) in enumerate(zip(module.output_names, ours, strict=True)):
            if not np.issubdtype(expected.dtype, np.floating):
                continue
            lsb = _lsb(module, name, expected)
            near += int((np.abs(theirs[name] - expected) <= lsb).sum())
            elements += expected.size
            if position == 0 and expected.ndim == 2 and expected.shape[1] > 1:
                equal = expected.argmax(1) == theirs[name].argmax(1)
                same += int(equal.sum())
                ties += int((~equal & _is_tied(expected, lsb)).sum())
                rows += len(expected)
        count += 1
    module.train(training)
    return {
        "runtime": runtime.name,
        "samples": count,
        "same_top1": same / (rows - ties) if rows > ties else None,
        "ties": ties,
        "within_1_lsb": near / max(elements, 1),
    }


def _lsb(module: QatModule, name: str, output: Array) -> float:
    """The step of an output: of its quantizer, or a 255th of the range that it and zero span."""
    quantizer = module.activations.get(name)
    if quantizer is not None:
        return (1 + _SLACK) * float(quantizer.qparams().scale)
    return (1 + _SLACK) * (max(float(output.max()), 0.0) - min(float(output.min()), 0.0)) / 255


def _is_tied(logits: Array, lsb: float) -> NDArray[np.bool_]:
    """Whether the two highest of each row of (N, classes) are at most `lsb` apart: (N,)."""
    second, highest = np.partition(logits, -2, axis=1)[:, -2:].T
    tied: NDArray[np.bool_] = highest - second <= lsb
    return tied
