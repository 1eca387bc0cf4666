"""Re-estimation of the statistics of batch norms, once the weights have come to rest.

A moving average over the last steps of training lags behind the weights, and follows those that flip between two codes.
So the statistics are taken anew: the average over many batches, with fake quantization on.

Source: Nagel et al. 2022 (arXiv 2203.11086), §4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from tinyint.errors import DataError, RecipeError
from tinyint.qat.qat_module import QatModule

__all__ = ["reestimate"]


@torch.no_grad()
def reestimate(module: QatModule, data: Iterable[Any], *, batches: int | None = None) -> int:
    """Re-estimates running statistics of trained batch norms; returns the number of batches.

    From the first `batches` of `data`.

    The statistics become the average over these batches, each by its size. Nothing else changes: ranges, steps done,
    mode. Where processes train together, each calls it with its part of each batch.

    * `data`: batches as a DataLoader gives them: a tensor, a mapping of tensors by input, or a sequence that begins
      with the inputs; what follows them, such as labels, is passed over. NumPy arrays will do for tensors
    * `batches`: `reestimation_batches` of the settings, if not given

    Raises:
        RecipeError: the module has no batch norms that are trained
        DataError: there are no data, or they are not the inputs of the graph
    """
    if not module.norms:
        raise RecipeError(
            "training: the batch norms were folded, so there are no statistics to re-estimate; prepare with "
            'QatSettings(batch_norm="trained")'
        )
    averages = {norm: _Average() for norm in module.norms.values()}
    done = 0
    with _estimating(module):
        for inputs in islice(_inputs(module, data), batches or module.origin.settings.reestimation_batches):
            module(**inputs)
            for norm, average in averages.items():
                average.add(norm.take_seen())
            done += 1
    if not done:
        raise DataError("there are no data to re-estimate batch norms with: the first batch is missing")
    held = module.constants()
    for norm, average in averages.items():
        for name, value in ((norm.mean, average.mean), (norm.variance, average.variance)):
            held[name].copy_(torch.as_tensor(value))
    return done


@dataclass
class _Average:
    """Of the statistics of batches, each with the weight of its size: `mean` and `variance`, (C,) float64."""

    count: Tensor | float = 0.0
    mean: Tensor | float = 0.0
    variance: Tensor | float = 0.0

    def add(self, seen: tuple[Tensor, Tensor, Tensor] | None) -> None:
        assert seen is not None
        mean, variance, count = seen
        self.count = self.count + count
        share = count / self.count
        self.mean = self.mean + (mean - self.mean) * share
        self.variance = self.variance + (variance - self.variance) * share


@contextmanager
def _estimating(module: QatModule) -> Iterator[None]:
    """In evaluation, but for the batch norms; afterwards everything is in the mode that it was in."""
    training = {part: part.training for part in module.modules()}
    module.eval()
    for norm in module.norms.values():
        norm.estimating = True
    try:
        yield
    finally:
        for norm in module.norms.values():
            norm.estimating, norm.seen = False, None
        for part, mode in training.items():
            part.training = mode


def _inputs(module: QatModule, data: Iterable[Any]) -> Iterator[dict[str, Tensor]]:
    device = next(module.parameters()).device
    for batch in data:
        found = _by_name(batch, module.input_names)
        if found is None:
            raise DataError(
                f"a batch to re-estimate batch norms with is a {type(batch).__name__}; expected the inputs "
                f"{list(module.input_names)} as tensors, by name or in order"
            )
        yield {name: torch.as_tensor(array).to(device) for name, array in found.items()}


def _by_name(batch: Any, names: tuple[str, ...]) -> dict[str, Any] | None:
    if isinstance(batch, Mapping):
        return {name: batch[name] for name in names} if batch.keys() >= set(names) else None
    if not isinstance(batch, Sequence):
        return {names[0]: batch} if len(names) == 1 and hasattr(batch, "shape") else None
    if batch and isinstance(batch[0], Sequence | Mapping):  # (inputs, labels)
        return _by_name(batch[0], names)
    return dict(zip(names, batch, strict=False)) if len(batch) >= len(names) else None
