"""The verb `advise`: method for a model, from the data and the time."""

from __future__ import annotations

from pathlib import Path

from tinyint.advice.advise import Advice, Given, Wants
from tinyint.advice.advise import advise as run
from tinyint.api.given_model import GivenModel, Model
from tinyint.data import Data, Samples, input_specs

__all__ = ["advise"]


def advise(
    model: Model,
    data: Data | None = None,
    *,
    val: str | Path | None = None,
    minutes: float | None = None,
    wants: Wants = "speed",
    target: str | None = None,
) -> Advice:
    """Advice on a float model, with the commands.

    Whether `data` have labels is seen from their first sample.

    `val` names samples to judge by, other than `data`. Raises ModelError, DataError, TargetError.
    """
    source = GivenModel.of(model)
    labels, samples = False, None
    if data is not None:
        dataset = Samples.of(data).open(input_specs(source.model), source.model.metadata_props)
        labels, samples = next(iter(dataset)).label is not None, dataset.len_hint
    given = Given(
        data=None if data is None else str(data) if isinstance(data, str | Path) else "DATA",
        val=None if val is None else str(val),
        samples=samples,
        labels=labels,
        minutes=minutes,
    )
    return run(source.model, given, wants=wants, target=target, path=source.given or "model.onnx")
