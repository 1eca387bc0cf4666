"""ONNX Runtime on the CPU or an NVIDIA GPU; imported in this file only."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as _state

from tinyint.errors import DependencyError, ModelError, TargetError
from tinyint.graph.message import open_dimensions
from tinyint.graph.passes.widen import holds, widen_floats
from tinyint.graph.serde import load
from tinyint.graph.source import ModelSource, graph_of, loadable, metadata, model_label, weights_apart, whole
from tinyint.metadata import METHOD
from tinyint.runtimes.base import (
    Array,
    Executed,
    Feeds,
    LayerTime,
    Precision,
    TensorSpec,
    check_feeds,
    check_threads,
    with_batch,
)
from tinyint.runtimes.ort_graph import describe
from tinyint.runtimes.ort_profile import layers

__all__ = ["CUDA", "RUNTIME", "OrtRuntime", "OrtSession"]

# ONNX Runtime's exceptions have no common base.
_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    UnicodeDecodeError,  # for a message that quotes a name which is not UTF-8
    *(error for error in vars(_state).values() if isinstance(error, type) and issubclass(error, Exception)),
)
_DTYPES = {
    "float": "float32",
    "double": "float64",
    "string": "object",
    **{
        t: t
        for t in ("float16", "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
    },
}
_FATAL = 4
_CPU: list[Any] = ["CPUExecutionProvider"]


class OrtSession:
    """Loaded model; see `runtimes.base.Session`.

    ONNX Runtime hands over the arrays that it computes, without a copy, and its arena has their memory ready for the
    next run. Bound buffers, which the next run overwrites, gain 5 % at most (`benchmarks/calls.py`).
    """

    precision: Precision = "float32"

    def __init__(self, session: Any, label: str, weights: object = None) -> None:
        self._session = session
        self._weights = weights  # the session reads their memory as long as it lives
        self._label = label
        self.inputs = tuple(_spec(i, label) for i in session.get_inputs())
        self.outputs = tuple(o.name for o in session.get_outputs())

    def run(self, feeds: Feeds) -> dict[str, Array]:
        check_feeds(self.inputs, feeds)
        try:
            values = self._session.run(None, feeds if type(feeds) is dict else dict(feeds))
        except _ERRORS as error:
            raise ModelError(f"{self._label}: onnxruntime failed to run it: {_reason(error)}") from error
        return dict(zip(self.outputs, values, strict=True))

    run_transient = run

    def profile(self, feeds: Feeds, calls: int) -> list[dict[str, Any]]:
        """Events of so many runs, of a session that was opened for profiling."""
        for _ in range(calls):
            self.run(feeds)
        events: list[dict[str, Any]] = json.loads(Path(self._session.end_profiling()).read_bytes())
        return events


class OrtRuntime:
    """ONNX Runtime; see `runtimes.base.Runtime`.

    `optimize=False` simulates a Q/DQ graph op by op. `cuda`: whether operators that have a kernel there run on the GPU,
    in float32 as on the CPU.
    """

    name = "onnxruntime"
    safe = True

    def __init__(self, *, cuda: bool = False) -> None:
        self._cuda = cuda

    def available(self) -> str | None:
        return str(ort.__version__)

    def most_threads(self) -> int | None:
        return None

    def absent(self) -> DependencyError:
        return DependencyError("ONNX Runtime is not installed; run: pip install onnxruntime")

    def open(
        self,
        model: ModelSource,
        *,
        threads: int | None = None,
        optimize: bool = True,
        precision: Precision | None = None,
        batch: int | None = None,
    ) -> OrtSession:
        """Opens a model; `batch` is only checked, since it makes no run faster here."""
        if precision not in (None, "float32"):
            raise TargetError(
                f"onnxruntime computes in the types of the file; convert the file for {precision}"
            )
        session = self._open(model, lambda: _options(model, threads, optimize))
        session.inputs = with_batch(session.inputs, batch)
        return session

    def _open(self, model: ModelSource, options: Callable[[], Any]) -> OrtSession:
        providers = self._providers()
        try:
            if isinstance(model, ir.Model):
                return _open_graph(model, options(), providers)
            session = _load(model, options(), providers)
            if all(dim != 0 for value in session.get_inputs() for dim in value.shape):
                return OrtSession(session, model_label(model))
            graph: ir.Model | None = whole(model)
        except ModelError:
            graph = _without_bfloat16(model)
            if graph is None:
                raise
        assert graph is not None
        open_dimensions(graph)
        return _open_graph(graph, options(), providers)

    def _providers(self) -> list[Any]:
        if not self._cuda:
            return _CPU
        if "CUDAExecutionProvider" not in ort.get_available_providers():
            raise DependencyError(
                "this ONNX Runtime cannot run on CUDA; run: pip install onnxruntime-gpu (in place of onnxruntime), "
                "or leave out the provider"
            )
        return [("CUDAExecutionProvider", {"use_tf32": "0"}), *_CPU]  # TF32 has a mantissa of only 10 bits

    def executed(self, model: ModelSource) -> list[Executed]:
        return [row for _, row in self._executed(model)]

    def profile(
        self,
        model: ModelSource,
        feeds: Feeds,
        *,
        calls: int,
        threads: int | None = None,
        precision: Precision | None = None,
    ) -> list[LayerTime]:
        del precision  # of the file alone, as `open` says
        with tempfile.TemporaryDirectory(prefix="tinyint-", ignore_cleanup_errors=True) as directory:

            def profiled() -> Any:
                options = _options(model, threads, True)
                options.enable_profiling = True
                options.profile_file_prefix = str(Path(directory) / "profile")
                return options

            events = self._open(model, profiled).profile(feeds, 1 + calls)
        try:
            executed = self._executed(model)
        except ModelError:  # in bfloat16, which `open` has converted
            executed = []
        return layers(events, executed, warmup=1)

    def _executed(self, model: ModelSource) -> list[tuple[str, Executed]]:
        """Nodes that run, with their own names."""
        with tempfile.TemporaryDirectory(prefix="tinyint-", ignore_cleanup_errors=True) as directory:
            options = _options(model, 1, True)
            options.optimized_model_filepath = str(Path(directory) / "optimized.onnx")
            # The weights are not needed; in a file of their own, they are not read back.
            entry = "session.optimized_model_external_initializers_file_name"
            options.add_session_config_entry(entry, "optimized.data")
            _load(model, options, _CPU)
            executed = load(options.optimized_model_filepath).graph
            names = [node.name or node.op_type for node in executed]
            return list(zip(names, describe(executed, graph_of(model)), strict=True))


RUNTIME = OrtRuntime()
CUDA = OrtRuntime(cuda=True)


def _without_bfloat16(model: ModelSource) -> ir.Model | None:
    """Copy with float32 in place of bfloat16; None for a model without bfloat16.

    ONNX Runtime has no CPU kernels for it, and NumPy no such type.
    """
    try:
        graph = whole(model)
        if not holds(graph, ir.DataType.BFLOAT16):
            return None
        copy = graph.clone()
    except (ModelError, ValueError, RuntimeError):
        return None  # ONNX Runtime reports the fault itself
    widen_floats(copy, keep=[ir.DataType.FLOAT16])
    return copy


def _options(model: ModelSource, threads: int | None, optimize: bool) -> Any:
    check_threads(threads)
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimize else level.ORT_DISABLE_ALL
    # Op by op, each weight is dequantized in its turn; an arena would keep the memory of all of them.
    options.enable_cpu_mem_arena = optimize
    # Idle threads that spin would take the cores from another session.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if metadata(model).get(METHOD) in ("weight_only", "dynamic"):
        # Lets constant folding dequantize the weights once, at load, instead of in every call.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    return options


def _open_graph(model: ir.Model, options: Any, providers: list[Any]) -> OrtSession:
    """Session that uses the graph's weights in memory; serialized, they would be there three times."""
    message, weights = weights_apart(model)
    values = [ort.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
    options.add_external_initializers(list(weights), values)
    session = _load(message, options, providers, model_label(model))
    return OrtSession(session, model_label(model), weights=(weights, values))


def _load(model: ModelSource, options: Any, providers: list[Any], label: str | None = None) -> Any:
    label = label or model_label(model)
    try:
        with loadable(model) as source:
            data = source if isinstance(source, bytes) else str(source)
            return ort.InferenceSession(data, options, providers=providers)
    except _ERRORS as error:
        raise ModelError(f"{label}: onnxruntime cannot load it: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Message of an error without its code, the model's path and source lines.

    The code is such as `[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : `.
    """
    message = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .*? failed: ?)?", "", str(error))
    return re.sub(r"^/\S+:\d+ .*?\) (?=[A-Z])", "", message)


def _spec(declared: Any, label: str) -> TensorSpec:
    match = re.fullmatch(r"tensor\((\w+)\)", declared.type)
    if match is None or match[1] not in _DTYPES:
        raise ModelError(f"{label}: input {declared.name!r} has type {declared.type}, which is not supported")
    shape = tuple(dim if isinstance(dim, int) else None for dim in declared.shape)
    return TensorSpec(name=declared.name, dtype=np.dtype(_DTYPES[match[1]]), shape=shape)
