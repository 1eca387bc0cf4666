"""OpenVINO on the CPU; imported in this file only, on first use."""

from __future__ import annotations

import re
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from tinyint.errors import DependencyError, ModelError, TargetError
from tinyint.graph.message import has_closed_inputs, open_dimensions
from tinyint.graph.names import name_of
from tinyint.graph.passes.deform_conv import unroll_deform_conv
from tinyint.graph.passes.shapes import infer_shapes
from tinyint.graph.passes.widen import holds, widen_floats
from tinyint.graph.source import ModelSource, graph_of, loadable, model_label, whole
from tinyint.runtimes.base import (
    Array,
    Executed,
    Feeds,
    LayerTime,
    Precision,
    TensorSpec,
    check_feeds,
    check_threads,
    installed,
)
from tinyint.runtimes.host import host

__all__ = ["RUNTIME", "OpenVINORuntime", "OpenVINOSession"]

_HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_CAPABILITY: dict[Precision, str] = {"float32": "FP32", "bfloat16": "BF16", "float16": "FP16"}
_NOT_RUN = {"Input", "Output"}
_NUMPY = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "i32": "int32", "i64": "int64"}
_OWN_DOMAIN = "ai.onnx"  # the domain of ONNX's own operators, usually written as ""
# What OpenVINO appends to a source node's name when it splits or fuses the node.
_SUFFIX = re.compile(r"(/WithoutBiases|/Dequantization\w+|_original)+$")


class OpenVINOSession:
    """Compiled model; see `runtimes.base.Session`.

    A request holds the inputs and outputs of one call, so two threads never share one. It reads the caller's arrays in
    their place, unless an output is an input: then the next call would write into them.
    """

    def __init__(self, compiled: Any, names: _Names, precision: Precision, label: str) -> None:
        self._compiled = compiled
        self._idle: deque[Any] = deque([compiled.create_infer_request()])
        self._own = threading.local()
        self._share_inputs = not _hands_on_inputs(compiled)
        self._label = label
        self.inputs = tuple(_spec(*pair) for pair in zip(names.inputs, compiled.inputs, strict=True))
        self.outputs = names.outputs
        self.precision = precision

    def run(self, feeds: Feeds) -> dict[str, Array]:
        try:
            request = self._idle.pop()
        except IndexError:  # all are in use
            request = self._compiled.create_infer_request()
        try:
            return self._infer(request, feeds, share_outputs=False)
        finally:
            self._idle.append(request)

    def run_transient(self, feeds: Feeds) -> dict[str, Array]:
        """Runs the model into the runtime's own output memory, which is not copied."""
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        return self._infer(self._own.request, feeds, share_outputs=True)

    def profile(self, feeds: Feeds) -> list[tuple[str, float]]:
        """Milliseconds of each node in one run, by its own name.

        The model was compiled for profiling.
        """
        request = self._compiled.create_infer_request()
        self._infer(request, feeds, share_outputs=True)
        return [
            (row.node_name, row.real_time.total_seconds() * 1e3)
            for row in request.get_profiling_info()
            if row.status.name == "EXECUTED"
        ]

    def _infer(self, request: Any, feeds: Feeds, *, share_outputs: bool) -> dict[str, Array]:
        check_feeds(self.inputs, feeds)
        arrays = {place: feeds[spec.name] for place, spec in enumerate(self.inputs)}
        try:
            results = request.infer(arrays, share_inputs=self._share_inputs, share_outputs=share_outputs)
        except RuntimeError as error:
            raise ModelError(f"{self._label}: openvino failed to run it: {_reason(error)}") from error
        return dict(zip(self.outputs, results.to_tuple(), strict=True))


def _hands_on_inputs(compiled: Any) -> bool:
    """Whether an output of the model as it runs is one of its inputs."""
    results = compiled.get_runtime_model().get_results()
    return any(result.input_value(0).get_node().get_type_name() == "Parameter" for result in results)


class OpenVINORuntime:
    """OpenVINO; see `runtimes.base.Runtime`. Also opens OpenVINO's own `.xml` files, by path."""

    name = "openvino"
    safe = False

    def available(self) -> str | None:
        return installed("openvino")

    def absent(self) -> DependencyError:
        return DependencyError("OpenVINO is not installed; run: pip install 'tinyint[openvino]'")

    def open(
        self,
        model: ModelSource,
        *,
        threads: int | None = None,
        optimize: bool = True,
        precision: Precision | None = None,
    ) -> OpenVINOSession:
        """Opens a model.

        Raises TargetError for `optimize=False`, which OpenVINO does not offer, and for a precision that the CPU lacks.
        """
        if not optimize:
            raise TargetError("openvino always optimizes; simulate op by op on onnxruntime instead")
        float_type: Precision = precision or "float32"
        compiled, names = _compile(model, threads, float_type)
        return OpenVINOSession(compiled, names, float_type, model_label(model))

    def executed(self, model: ModelSource) -> list[Executed]:
        compiled, _ = _compile(model, host().cores, "float32")  # as it has been tried
        source = _source(model)
        constant: set[str] = set()  # evaluated once, when the model is compiled
        rows = []
        for node in compiled.get_runtime_model().get_ordered_ops():
            inputs = [port.get_source_output().get_node().get_friendly_name() for port in node.inputs()]
            row = _executed(node, source)
            if row.op == "Const" or (inputs and constant.issuperset(inputs)):
                constant.add(node.get_friendly_name())
            elif row.op not in _NOT_RUN:
                rows.append(row)
        return rows

    def profile(
        self,
        model: ModelSource,
        feeds: Feeds,
        *,
        calls: int,
        threads: int | None = None,
        precision: Precision | None = None,
    ) -> list[LayerTime]:
        chosen: Precision = precision or "float32"
        compiled, names = _compile(model, threads, chosen, profiled=True)
        session = OpenVINOSession(compiled, names, chosen, model_label(model))
        source, spent = _source(model), defaultdict[str, list[float]](list)
        session.profile(feeds)
        for _ in range(calls):
            for name, ms in session.profile(feeds):
                spent[name].append(ms)
        nodes = compiled.get_runtime_model().get_ordered_ops()
        rows = {node.get_friendly_name(): _executed(node, source) for node in nodes}
        return [_layer(row, median(spent[name])) for name, row in rows.items() if name in spent]


RUNTIME = OpenVINORuntime()


@cache
def _core() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise RUNTIME.absent() from error
    return openvino.Core()


@dataclass(frozen=True)
class _Names:
    """Names of inputs and outputs in the model.

    OpenVINO calls values that are one by another of their names, and forgets those of inputs that nothing computes on.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, read: Any, model: ModelSource) -> _Names:
        source = _source(model)
        if source is None:
            return cls(_own_names(read.inputs), _own_names(read.outputs))
        inputs = tuple(name_of(value) for value in source.inputs if not value.is_initializer())
        outputs = tuple(name_of(value) for value in source.outputs)
        return cls(
            inputs if len(inputs) == len(read.inputs) else _own_names(read.inputs),
            outputs if len(outputs) == len(read.outputs) else _own_names(read.outputs),
        )


def _own_names(ports: list[Any]) -> tuple[str, ...]:
    return tuple(port.get_any_name() for port in ports)


def _compile(
    model: ModelSource, threads: int | None, precision: Precision, *, profiled: bool = False
) -> tuple[Any, _Names]:
    core = _core()
    if _CAPABILITY[precision] not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise TargetError(f"openvino cannot compute in {precision} on this CPU; use float32")
    # With the hint, one stream uses all threads; without it, several streams may share them.
    # A worker that is pinned to a core waits while another process uses that core (2 cores, one busy: 10.3 ms against
    # 7.6); on an idle machine, pinning gains nothing.
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "ENABLE_CPU_PINNING": False,
        "PERF_COUNT": profiled,
    }
    check_threads(threads)
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    label = model_label(model)
    try:
        with _read(core, model) as read:
            names = _Names.of(read, model)
            return core.compile_model(read, "CPU", settings), names
    except (RuntimeError, UnicodeDecodeError) as error:
        raise ModelError(f"{label}: openvino cannot load it: {_reason(error)}") from error


@contextmanager
def _read(core: Any, model: ModelSource) -> Iterator[Any]:
    """Model as OpenVINO reads it, converted first if version 2026.4 cannot read it as it is."""
    with ExitStack() as stack:
        try:
            read = core.read_model(stack.enter_context(loadable(model)))
            is_unfit = any(dim == 0 for port in read.inputs for dim in port.get_partial_shape()) or any(
                port.get_element_type().get_type_name() == "bf16" for port in (*read.inputs, *read.outputs)
            )
        except RuntimeError:
            copy = _readable_copy(model)
            if copy is None:
                raise
        else:
            copy = _readable_copy(model) if is_unfit else None
        yield read if copy is None else core.read_model(stack.enter_context(loadable(copy)))


def _readable_copy(model: ModelSource) -> ir.Model | None:
    """Copy of the model in a form that OpenVINO reads.

    None if there is nothing to change. Dimensions declared as 0 become open, bfloat16 (which NumPy lacks) becomes
    float32, deformable convolutions are decomposed, local functions inlined, and ONNX's own domain is written as "".
    """
    if isinstance(model, (str, Path)) and Path(model).suffix == ".xml":
        return None
    try:
        copy = whole(model).clone()
    except (ModelError, ValueError, RuntimeError):
        return None  # OpenVINO reports the fault itself
    own_opset = copy.opset_imports.pop(_OWN_DOMAIN, None)  # reading has removed it from the nodes
    has_functions = bool(copy.functions)
    if has_functions:
        InlinePass()(copy)
    halves, deformable = holds(copy, ir.DataType.BFLOAT16), any(n.op_type == "DeformConv" for n in copy.graph)
    if not (own_opset or has_functions or halves or deformable or has_closed_inputs(copy)):
        return None
    if own_opset:
        copy.opset_imports.setdefault("", own_opset)
    if halves:
        widen_floats(copy, keep=[ir.DataType.FLOAT16])
    open_dimensions(copy)
    infer_shapes(copy)
    unroll_deform_conv(copy)
    return copy


def _reason(error: Exception) -> str:
    """Message of an error, without the places in OpenVINO's source code."""
    lines = [line.strip() for line in str(error).splitlines()]
    reasons = [
        line for line in lines if line and not line.startswith(("Exception from", "Check '", "FrontEnd API"))
    ]
    return " ".join(reasons) or "no reason given"


def _spec(name: str, port: Any) -> TensorSpec:
    dims = port.get_partial_shape()
    shape = tuple(None if dim.is_dynamic else dim.get_length() for dim in dims)
    return TensorSpec(name=name, dtype=np.dtype(port.get_element_type().to_dtype()), shape=shape)


def _source(model: ModelSource) -> ir.Graph | None:
    """Graph of the model, None for OpenVINO's own files."""
    return None if isinstance(model, (str, Path)) and Path(model).suffix == ".xml" else graph_of(model)


def _layer(row: Executed, ms: float) -> LayerTime:
    held = row.detail.partition(" ")[0]
    precision = "int8" if row.int8 else _NUMPY.get(held, held)
    return LayerTime(name=row.name, op=row.op, precision=precision, detail=row.detail, ms=ms)


def _executed(node: Any, source: ir.Graph | None) -> Executed:
    facts = {str(key): str(value.value) for key, value in node.get_rt_info().items()}
    own_name = node.get_friendly_name()
    layers = [name for name in facts.get("originalLayersNames", "").split(",") if name]
    sources = (
        tuple(dict.fromkeys(layers))
        if source is None
        else _sources(layers, source, facts.get("layerType", ""))
    )
    kernel = facts.get("primitiveType", "")
    precision = facts.get("runtimePrecision", "")
    return Executed(
        name=sources[0] if sources else own_name,
        op=facts.get("layerType", node.get_type_name()),
        int8=(precision in ("i8", "u8") and not _reads_floats(facts))
        or kernel.endswith(("_I8", "_U8", "_i8", "_u8")),
        detail=f"{precision} {kernel}".strip(),
        sources=sources,
    )


def _reads_floats(facts: dict[str, str]) -> bool:
    """Whether the node is a float product.

    OpenVINO reports the type of its weights, which may be int8.
    """
    return facts.get("layerType") == "FullyConnected" and facts.get("primitiveType", "").endswith("_f32")


def _sources(layers: list[str], source: ir.Graph, op: str = "") -> tuple[str, ...]:
    """Names of the source nodes that OpenVINO's `layers` refer to.

    OpenVINO gives a node the name of its output, if that is an output of the model, and a product the name of a Cast
    that follows it as an output.
    """
    by_name = {node.name: node for node in source if node.name}
    by_value = {out.name: node for node in source for out in node.outputs if out.name and node.name}
    names = []
    for layer in layers:
        stem = _SUFFIX.sub("", layer)
        node = by_name.get(layer) or by_name.get(stem) or by_value.get(stem)
        if node is not None and node.op_type == "Cast" and op != "Convert" and node.inputs[0] is not None:
            node = node.inputs[0].producer() or node
        names.append(None if node is None else node.name)
    return tuple(dict.fromkeys(name for name in names if name))
