"""The verbs that hold a model against data: `evaluate`, and `compare` with the float model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tinyint.api.opening import open as open_model
from tinyint.api.progress import Progress, silent
from tinyint.api.source import Model, Source, input_specs, resolve_preprocessing
from tinyint.data import Preprocessing, open_data
from tinyint.evaluate.classify import ClassificationResult, evaluate_classification
from tinyint.evaluate.compare import Comparison
from tinyint.evaluate.compare import compare as compare_tensors
from tinyint.loading import onnx_source
from tinyint.runtimes.source import metadata

__all__ = ["compare", "evaluate"]


def evaluate(
    model: Model,
    data: str | Path | Iterable[Any],
    *,
    runtime: str | None = None,
    threads: int | None = None,
    batch_size: int = 1,
    samples: int | None = None,
    preprocessing: Preprocessing | str | Path | None = None,
    progress: Progress = silent,
    example_inputs: Any = None,
) -> ClassificationResult:
    """Top-1 and top-5 accuracy of a classifier, float or int8, on labelled data.

    Raises ModelError, DataError (a sample without a label, a label that is no class) and DependencyError.
    """
    source = onnx_source(model, example_inputs)
    session = open_model(source, runtime, threads)
    declared = resolve_preprocessing(preprocessing, metadata(source))
    dataset = open_data(data, session.inputs, declared, limit=samples)
    total = dataset.len_hint
    return evaluate_classification(
        session,
        dataset,
        batch_size,
        progress=lambda done: progress("evaluate", done, total),
    )


def compare(
    float_model: Model,
    int8_model: Model,
    data: str | Path | Iterable[Any],
    *,
    samples: int = 16,
    threads: int | None = None,
    preprocessing: Preprocessing | str | Path | None = None,
    example_inputs: Any = None,
) -> Comparison:
    """Where the error arises: every quantized tensor against the float model's, worst first, with a cause.

    Raises ModelError if the two models do not belong together, DataError.
    """
    reference, quantized = Source.of(float_model, example_inputs), Source.of(int8_model)
    declared = resolve_preprocessing(preprocessing, quantized.model.metadata_props)
    declared = declared or resolve_preprocessing(None, reference.model.metadata_props)
    dataset = open_data(data, input_specs(reference.model), declared, limit=samples)
    return compare_tensors(reference.model, quantized.model, dataset, samples, threads=threads)
