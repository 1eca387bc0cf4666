"""The verb `open`: a model on its runtime, as it is."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyint.api.given_model import GivenModel, Model
from tinyint.errors import ModelError, TinyintWarning
from tinyint.graph.io import load_model
from tinyint.graph.source import ModelSource, metadata, model_label, require_model_file, whole
from tinyint.loading import onnx_source
from tinyint.metadata import TARGET
from tinyint.proof.saturation import saturation
from tinyint.runtimes import Runtime, Session, get_runtime
from tinyint.runtimes.base import Precision
from tinyint.runtimes.host import host
from tinyint.targets import TARGETS

__all__ = ["clearly", "existing", "open", "runtime_for", "warn_of_saturation"]


def open(  # noqa: A001  the verb, as in tinyint.open
    model: Model | bytes,
    runtime: str | None = None,
    threads: int | None = None,
    precision: Precision | None = None,
) -> Session:
    """Loads a model on a runtime: its own, else ONNX Runtime.

    Float or int8; its own is the one that it was quantized for.

    Weights of weight-only models are dequantized once, at load, so that these run at the float model's speed; or by
    OpenVINO's kernels, which may quantize what they multiply (`Target.stored_weights`). Raises ModelError for a
    file that cannot be loaded, DependencyError for a runtime that is not installed.
    """
    source = existing(model)
    chosen = runtime_for(source, runtime)
    with clearly(source):
        session = chosen.open(source, threads=threads, precision=precision)
    warn_of_saturation(source, chosen.name)
    return session


def warn_of_saturation(model: ModelSource, runtime: str, label: str = "") -> None:
    """Warns (TinyintWarning) of products that saturate on this processor."""
    if not host().pair_sums_saturate or (isinstance(model, str | Path) and Path(model).suffix != ".onnx"):
        return
    try:
        graph = load_model(model) if isinstance(model, str | Path) else whole(model)
    except ModelError:
        return  # it runs all the same, but cannot be looked into
    told = saturation(graph, runtime)
    if told is not None:
        warnings.warn(f"{label or model_label(model)}: {told}", TinyintWarning, stacklevel=3)


def runtime_for(model: ModelSource, name: str | None = None) -> Runtime:
    """Named runtime, else the one in the model's metadata."""
    if name is None:
        target = TARGETS.get(metadata(model).get(TARGET, ""))
        name = target.runtime if target else "onnxruntime"
    return get_runtime(name)


@contextmanager
def clearly(*models: ModelSource) -> Iterator[None]:
    """Names the fault of a damaged file that a runtime refuses without a reason."""
    try:
        yield
    except ModelError:
        for model in models:
            if isinstance(model, str | Path) and Path(model).suffix == ".onnx":
                GivenModel.of(model)
        raise


def existing(model: Model | bytes) -> ModelSource:
    """Model as a runtime opens it; raises ModelError for the path of nothing."""
    source = model if isinstance(model, bytes) else onnx_source(model)
    if isinstance(source, str | Path):
        require_model_file(Path(source))
    return source
