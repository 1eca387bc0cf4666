"""The exported int8 model in its runtime, held against the module that was trained."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tinyint.data import Sample
from tinyint.qat.qat_module import QatModule
from tinyint.runtimes import get_runtime
from tinyint.train.objective import tensors_of

__all__ = ["prove"]

_LSB_SHARE = 1 / 255  # of an output's range


@torch.no_grad()
def prove(module: QatModule, model: Path, samples: Iterable[Sample]) -> dict[str, Any]:
    """How alike they are.

    * `runtime`: where the int8 model ran: its own, or onnxruntime where that is not installed
    * `samples`: how many
    * `same_top1`: share of rows with the same highest class in the first output of shape (N, classes), or None
    * `within_1_lsb`: share of output elements less than 1/255 of the output's range apart, over all outputs
    """
    runtime = get_runtime(module.origin.target.runtime)
    runtime = runtime if runtime.available() else get_runtime("onnxruntime")
    session = runtime.open(model)
    device = next(module.parameters()).device
    training = module.training
    module.eval()
    count = same = rows = near = elements = 0
    for sample in samples:
        inputs = {name: torch.from_numpy(array).to(device) for name, array in sample.inputs.items()}
        ours = [tensor.cpu().numpy() for tensor in tensors_of(module(**inputs))]
        theirs = session.run(sample.inputs)
        for expected, name in zip(ours, module.output_names, strict=True):
            if not np.issubdtype(expected.dtype, np.floating):
                continue
            lsb = (max(float(expected.max()), 0.0) - min(float(expected.min()), 0.0)) * _LSB_SHARE
            near += int((np.abs(theirs[name] - expected) <= lsb).sum())
            elements += expected.size
        first, actual = ours[0], theirs[module.output_names[0]]
        if first.ndim == 2 and first.shape[1] > 1:
            same, rows = same + int((first.argmax(1) == actual.argmax(1)).sum()), rows + len(first)
        count += 1
    module.train(training)
    return {
        "runtime": runtime.name,
        "samples": count,
        "same_top1": same / rows if rows else None,
        "within_1_lsb": near / max(elements, 1),
    }
