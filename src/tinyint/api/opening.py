"""The verb `open`: a model on its runtime, as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tinyint.api.given_model import GivenModel, Model
from tinyint.api.open_model import OpenModel
from tinyint.errors import DataError, ModelError, OutputError
from tinyint.graph.source import ModelSource, metadata, model_label, require_model_file
from tinyint.loading import onnx_source
from tinyint.metadata import TARGET
from tinyint.proof.choice import Choice, Conditions, choose
from tinyint.proof.choices import Choices, choice_key
from tinyint.proof.likeness import graph_with_weights
from tinyint.proof.saturation import saturation
from tinyint.runtimes import Feeds, Precision, Runtime, Session, get_runtime
from tinyint.runtimes.host import host
from tinyint.runtimes.run import warn
from tinyint.targets import TARGETS

__all__ = [
    "AUTO",
    "chosen_session",
    "clearly",
    "existing",
    "open",
    "runtime_for",
    "saturation_notice",
    "threads_notice",
]

AUTO = "auto"
"""Stands for the fastest runtime."""

_ON_THIS_MACHINE = tuple(dict.fromkeys(t.runtime for t in TARGETS.values() if t.build_commands is None))


def open(  # noqa: A001  the verb, as in tinyint.open
    model: Model | bytes,
    runtime: str | None = None,
    threads: int | None = None,
    precision: Precision | None = None,
    *,
    batch: int | None = None,
    example: Feeds | None = None,
    notice: Callable[[str], object] = warn,
) -> OpenModel:
    """Loads a model, float or int8, on a runtime.

    * `runtime`: name; None for the one that the model was quantized for, else ONNX Runtime; "auto" for the fastest of
      those that are installed and compute what the model says. It is measured once for a model on a machine, which
      takes some seconds, and remembered
    * `threads`: of one call; None leaves the number to the runtime
    * `precision`: type of what is not quantized, where the runtime has a choice; None means float32
    * `batch`: size of the open batch, the only one that runs then; OpenVINO is faster where it knows it
    * `example`: inputs to measure with under "auto"; random ones without it
    * `notice`: called with what the user should know; a TinyintWarning by default

    Weights of weight-only models are dequantized once, at load, so that these run at the float model's speed; or by
    OpenVINO's kernels, which may quantize what they multiply (`Target.stored_weights`). Raises ModelError for a
    file that cannot be loaded, DependencyError for a runtime that is not installed, TargetError for a precision that it
    lacks, and DataError for other values that cannot be.
    """
    source = existing(model)
    conditions = Conditions(threads=threads, precision=precision, batch=batch, example=example)
    with clearly(source):
        if runtime == AUTO:
            session, choice, told_choice = chosen_session(source, conditions)
            used = get_runtime(choice.runtime)
        else:
            if example is not None:
                raise DataError(f"an example is measured under runtime={AUTO!r} only; leave it out")
            used, choice, told_choice = runtime_for(source, runtime), None, None
            session = conditions.open(used, source)
    for told in (told_choice, threads_notice(used, threads), saturation_notice(source, used.name)):
        if told is not None:
            notice(told)
    single = replace(conditions, threads=1)
    return OpenModel(
        session,
        used.name,
        label=model_label(source),
        choice=choice,
        streams=min(threads or host().cores, host().cores),
        stream=None if threads == 1 else lambda: single.open(used, source),
    )


def chosen_session(model: ModelSource, conditions: Conditions) -> tuple[Session, Choice, str | None]:
    """Session of the fastest runtime, its choice, and the notice of a new one."""
    runtimes = [get_runtime(name) for name in _ON_THIS_MACHINE]
    preferred = runtime_for(model).name
    choices, key = Choices(), choice_key(model, runtimes, conditions, preferred)
    if (known := choices.load(key)) is not None:
        return conditions.open(get_runtime(known.runtime), model), known, None
    choice, session = choose(model, runtimes, conditions, preferred=preferred)
    told = f"{model_label(model)} {choice}"
    if choice.unmeasured is None and not choice.cut_short:
        try:
            choices.store(key, choice)
        except OutputError as error:
            told += f"; not remembered: {error}; set TINYINT_CACHE_DIR to a writable directory"
    return session, choice, told


def threads_notice(runtime: Runtime, threads: int | None) -> str | None:
    """Notice of threads that a runtime does not use; None if it uses all."""
    most = runtime.most_threads()
    if threads is None or most is None or threads <= most:
        return None
    return f"{threads} threads were asked for; {runtime.name} uses {most}, as many as there are cores"


def saturation_notice(model: ModelSource, runtime: str, label: str = "") -> str | None:
    """Notice of products that saturate on this processor; None if there are none."""
    if not host().pair_sums_saturate or (graph := graph_with_weights(model)) is None:
        return None
    told = saturation(graph, runtime)
    return None if told is None else f"{label or model_label(model)}: {told}"


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
