"""OpenVINO on the CPU; imported in this file only, on first use."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from tinyint.errors import DependencyError, ModelError, TargetError
from tinyint.graph.message import has_closed_inputs, open_dimensions
from tinyint.graph.names import name_of
from tinyint.graph.passes.deform_conv import unroll_deform_conv
from tinyint.graph.passes.shapes import infer_shapes
from tinyint.graph.passes.widen import holds, widen_floats
from tinyint.graph.source import ModelSource, graph_of, loadable, model_label, whole
from tinyint.runtimes.base import Executed, Feeds, LayerTime, Precision, check_threads, installed, with_batch
from tinyint.runtimes.host import host
from tinyint.runtimes.openvino_session import OpenVINOSession, reason, spec_of

__all__ = ["RUNTIME", "OpenVINORuntime"]

_HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_CAPABILITY: dict[Precision, str] = {"float32": "FP32", "bfloat16": "BF16", "float16": "FP16"}
_NOT_RUN = {"Input", "Output"}
_NUMPY = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "i32": "int32", "i64": "int64"}
_OWN_DOMAIN = "ai.onnx"  # the domain of ONNX's own operators, usually written as ""
# What OpenVINO appends to a source node's name when it splits or fuses the node.
_SUFFIX = re.compile(r"(/WithoutBiases|/Dequantization\w+|_original)+$")


class OpenVINORuntime:
    """OpenVINO; see `runtimes.base.Runtime`. Also opens OpenVINO's own `.xml` files, by path."""

    name = "openvino"
    safe = False

    def available(self) -> str | None:
        return installed("openvino")

    def most_threads(self) -> int | None:
        return host().cores  # TBB starts no more

    def absent(self) -> DependencyError:
        return DependencyError("OpenVINO is not installed; run: pip install 'tinyint[openvino]'")

    def open(
        self,
        model: ModelSource,
        *,
        threads: int | None = None,
        optimize: bool = True,
        precision: Precision | None = None,
        batch: int | None = None,
    ) -> OpenVINOSession:
        """Opens a model.

        Raises TargetError for `optimize=False`, which OpenVINO does not offer, and for a precision that the CPU lacks.
        """
        if not optimize:
            raise TargetError("openvino always optimizes; simulate op by op on onnxruntime instead")
        float_type: Precision = precision or "float32"
        compiled, names = _compile(model, threads, float_type, batch=batch)
        return _session(compiled, names, float_type, model)

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
        session = _session(compiled, names, chosen, model)
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


def _session(compiled: Any, names: _Names, precision: Precision, model: ModelSource) -> OpenVINOSession:
    from openvino import Tensor

    return OpenVINOSession(
        compiled, (names.inputs, names.outputs), precision, label=model_label(model), tensor=Tensor
    )


def _compile(
    model: ModelSource,
    threads: int | None,
    precision: Precision,
    *,
    batch: int | None = None,
    profiled: bool = False,
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
            _require_no_antialias(read, label)
            _close_batch(read, names, batch)
            return core.compile_model(read, "CPU", settings), names
    except (RuntimeError, UnicodeDecodeError) as error:
        raise ModelError(f"{label}: openvino cannot load it: {reason(error)}") from error


def _require_no_antialias(read: Any, label: str) -> None:
    """Raises ModelError for a Resize that may shrink with antialias, which OpenVINO's CPU kernels ignore."""
    for node in read.get_ops():
        if (
            node.get_type_name() == "Interpolate"
            and node.get_attributes().get("antialias")
            and _may_shrink(node)
        ):
            raise ModelError(
                f"{label}: openvino ignores the antialias of {node.get_friendly_name()!r}, and would compute something "
                "else: run the model on onnxruntime"
            )


def _may_shrink(resize: Any) -> bool:
    axes = resize.input_value(resize.get_input_size() - 1).get_node().get_data()
    before, after = resize.get_input_partial_shape(0), resize.get_output_partial_shape(0)
    sides = [(before[int(axis)], after[int(axis)]) for axis in axes]
    return any(b.is_dynamic or a.is_dynamic or a.get_length() < b.get_length() for b, a in sides)


def _close_batch(read: Any, names: _Names, batch: int | None) -> None:
    """Fixes the open batch: known shapes run faster (MobileNetV2 at batch 1: 14.2 ms against 15.6)."""
    if batch is not None:
        open_ = [spec_of(*pair) for pair in zip(names.inputs, read.inputs, strict=True)]
        closed = with_batch(open_, batch)
        changed = [(p, c) for p, o, c in zip(read.inputs, open_, closed, strict=True) if c != o]
        read.reshape({p: [-1 if dim is None else dim for dim in c.shape] for p, c in changed})


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


def _source(model: ModelSource) -> ir.Graph | None:
    """Graph of the model, None for OpenVINO's own files."""
    return None if isinstance(model, (str, Path)) and Path(model).suffix == ".xml" else graph_of(model)


def _layer(row: Executed, ms: float) -> LayerTime:
    held = row.detail.partition(" ")[0]
    precision = "int8" if row.int8 else _NUMPY.get(held, held)
    return LayerTime(
        name=row.name, op=row.op, precision=precision, detail=row.detail, ms=ms, sources=row.sources
    )


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
