"""The verb `advise`: which method fits a model, from the data and the time that there are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tinyint.api.source import Model, Source, input_specs, resolve_preprocessing
from tinyint.data import open_data
from tinyint.evaluate.advise import Advice, Wants
from tinyint.evaluate.advise import advise as run

__all__ = ["advise"]


def advise(
    model: Model,
    data: str | Path | Iterable[Any] | None = None,
    *,
    minutes: float | None = None,
    wants: Wants = "speed",
    target: str | None = None,
    example_inputs: Any = None,
) -> Advice:
    """What to do with a float model, with the commands. Whether `data` have labels is seen from their first sample.

    Raises ModelError, DataError, TargetError.
    """
    source = Source.of(model, example_inputs)
    labels = False
    if data is not None:
        declared = resolve_preprocessing(None, source.model.metadata_props)
        first = next(iter(open_data(data, input_specs(source.model), declared, limit=1)))
        labels = first.label is not None
    return run(
        source.model,
        data=data is not None,
        labels=labels,
        time_minutes=minutes,
        wants=wants,
        target=target,
        path=source.given or "model.onnx",
    )
