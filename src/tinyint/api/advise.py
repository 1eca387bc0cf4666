"""The verb `advise`: method for a model, from the data and the time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tinyint.advice.advise import Advice, Given, Wants
from tinyint.advice.advise import advise as run
from tinyint.api.source import Model, Source, input_specs, resolve_preprocessing
from tinyint.data import open_data

__all__ = ["advise"]


def advise(
    model: Model,
    data: str | Path | Iterable[Any] | None = None,
    *,
    val: str | Path | None = None,
    minutes: float | None = None,
    wants: Wants = "speed",
    target: str | None = None,
    example_inputs: Any = None,
) -> Advice:
    """Advice on a float model, with the commands.

    Whether `data` have labels is seen from their first sample.

    `val` names samples to judge by, other than `data`. Raises ModelError, DataError, TargetError.
    """
    source = Source.of(model, example_inputs)
    labels, samples = False, None
    if data is not None:
        declared = resolve_preprocessing(None, source.model.metadata_props)
        dataset = open_data(data, input_specs(source.model), declared)
        labels, samples = next(iter(dataset)).label is not None, dataset.len_hint
    given = Given(
        data=None if data is None else str(data) if isinstance(data, str | Path) else "DATA",
        val=None if val is None else str(val),
        samples=samples,
        labels=labels,
        minutes=minutes,
    )
    return run(source.model, given, wants=wants, target=target, path=source.given or "model.onnx")
