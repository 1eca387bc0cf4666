"""What must hold of whatever is done with a valid model: it is refused for a reason, or what comes out is right."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

import tinyint
from tests.fuzz.figures import Outputs, compare, smooth, sqnr
from tests.fuzz.models import Draft, build
from tests.fuzz.per_tensor import quantized_per_tensor
from tinyint import qat
from tinyint.errors import ModelError, TinyintError, TinyintWarning
from tinyint.graph.io import load_model, save_model
from tinyint.graph.passes.exact_products import exact_products
from tinyint.graph.prepare import prepare
from tinyint.graph.source import whole
from tinyint.runtimes import Runtime, get_runtime, openvino
from tinyint.runtimes.host import host
from tinyint.targets import get_target

TARGETS = ("x86-vnni", "x86-avx2", "openvino-vnni", "openvino-avx2", "generic", "arm64", "tensorrt")
WAYS = (
    *(("static", target) for target in TARGETS),
    ("dynamic", "x86-vnni"), ("dynamic", "x86-avx2"), ("dynamic", "openvino-vnni"), ("dynamic", "generic"),
    ("weight_only", "x86-vnni"), ("weight_only", "openvino-vnni"),
    ("torch", ""),
    ("qat", "x86-vnni"), ("qat", "openvino-vnni"), ("qat", "x86-avx2"), ("qat", "tensorrt"),
)  # fmt: skip
"""What is done with a model: the method, and the target that it is done for."""

Way = tuple[str, str]


@dataclass(frozen=True)
class Verdict:
    """`outcome`: what came of it; `fault`: its kind, if it is one; `told`: the error or the figures."""

    outcome: str
    fault: str | None = None
    told: str = ""


class _FaultError(Exception):
    def __init__(self, kind: str, told: object) -> None:
        super().__init__(kind)
        self.verdict = Verdict("fault", kind, str(told))


def judge(draft: Draft, way: Way, folder: Path) -> Verdict:
    """Makes the model of the draft and does with it what `way` says; files go into `folder`."""
    drawn = build(draft)
    if drawn is None:
        return Verdict("empty")
    path, written = folder / "float.onnx", folder / "int8.onnx"
    for older in folder.glob("int8.*"):
        older.unlink()
    path.write_bytes(drawn.model.SerializeToString())
    expected = _float_run(drawn.model, drawn.samples)
    if expected is None:
        return Verdict("invalid")
    case = _Case(path, written, drawn.samples, expected, *way)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", TinyintWarning)
            _DONE[way[0]](case)
    except _FaultError as fault:
        return fault.verdict
    except TinyintError as refusal:
        return _refused(refusal, written)
    except Exception as error:  # whatever it is, a user would see a traceback
        return Verdict("fault", f"traceback: {type(error).__name__}", str(error))
    return Verdict("done")


@dataclass(frozen=True)
class _Case:
    path: Path
    written: Path
    samples: list[dict[str, np.ndarray]]
    expected: Outputs
    method: str
    target: str


def _float_run(model: onnx.ModelProto, samples: Sequence[dict[str, np.ndarray]]) -> Outputs | None:
    """The outputs of the samples; None where the model does not run, or leaves the numbers."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    for value in (*opened.graph.input, *opened.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_value") and dim.dim_value <= 0:
                dim.ClearField("dim_value")  # exporters write so what they do not know
    try:
        onnx.checker.check_model(opened, full_check=True)
        session = get_runtime("onnxruntime").open(opened.SerializeToString(), threads=1, optimize=False)
        outputs = [session.run(sample) for sample in samples]
    except (ModelError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        return None
    tame = all(
        np.isfinite(a).all()
        and (
            a.dtype.kind != "f" or float(np.abs(a).max(initial=0)) < (1e4 if a.dtype == np.float16 else 1e18)
        )
        for o in outputs
        for a in o.values()
    )
    return outputs if tame else None


def _refused(refusal: TinyintError, written: Path) -> Verdict:
    told = str(refusal)
    if written.exists():
        return Verdict("fault", "written and refused", told)
    # A valid model is not to blame, and a runtime's own words are no reason.
    for blame in (
        "export it again",
        "damaged",
        "onnxruntime cannot load",
        "onnxruntime failed",
        "was not made from",
    ):
        if blame in told:
            return Verdict("fault", f"refusal: {blame}", told)
    return Verdict(f"refused: {reason(told)}", told=told)


def reason(told: str) -> str:
    """A refusal without names and numbers."""
    plain = re.sub(r"'[^']*'|\"[^\"]*\"|\S*/float\.onnx\S*", "…", told, flags=re.DOTALL)
    plain = re.sub(r"(?<=are not supported in training: )\w+ .*|(?<=its operators are ).*", "…", plain)
    return re.sub(r"-?\d[\d.,e+-]*", "0", plain)[:100]


def _quantized(case: _Case) -> None:
    tinyint.quantize(
        case.path,
        tinyint.Samples(case.samples, limit=len(case.samples)),
        output=case.written,
        recipe={"static": "default"}.get(case.method, case.method),
        target=case.target,
        run=tinyint.Run(verify=False, threads=1),
    )
    simulated = _proven(case)
    if case.method == "static":
        _require_good(case, simulated)


def _trained(case: _Case) -> None:
    module = qat.prepare(load_model(case.path), case.samples, target=case.target)
    feeds = [[torch.tensor(sample[name]) for name in module.input_names] for sample in case.samples]
    _step(module, feeds[0])
    module.eval()
    with torch.no_grad():
        evaluated = [_numpy(module(*args), module.output_names) for args in feeds]
    exported = qat.export(module)
    save_model(exported, case.written)
    expected = _proven(case)
    for ours, theirs in zip(expected, evaluated, strict=True):
        for name, array in ours.items():
            _same_form(f"module's {name}", array, theirs[name])
    _require_alike("module", case, evaluated, expected)


def _step(module: qat.QatModule, args: list[torch.Tensor]) -> None:
    module.train()
    outputs = _numpy_free(module(*args))
    floats = [o for o in outputs if o.is_floating_point() and o.requires_grad]
    if not floats:
        return
    loss = sum((o.double() ** 2).mean() for o in floats)
    loss.backward()  # type: ignore[union-attr]
    parameters = [p for p in module.parameters() if p.grad is not None]
    if not all(bool(torch.isfinite(p.grad).all()) for p in parameters if p.grad is not None):
        raise _FaultError("gradient", "not finite")
    with torch.no_grad():
        for p in parameters:
            assert p.grad is not None
            p -= 1e-3 * p.abs().max() * p.grad / (p.grad.abs().max() + 1e-12)


def _numpy_free(outputs: Any) -> list[torch.Tensor]:
    return [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)


def _numpy(outputs: Any, names: Sequence[str]) -> dict[str, np.ndarray]:
    return {name: o.detach().numpy() for name, o in zip(names, _numpy_free(outputs), strict=True)}


def _as_torch(case: _Case) -> None:
    module = qat.to_torch(load_model(case.path))
    half = any(array.dtype == np.float16 for array in case.samples[0].values())
    single = qat.to_torch(prepare(load_model(case.path))) if half else module
    if half and any(_largest(single, sample) > 65504 for sample in case.samples):
        return  # ONNX Runtime computes in float32 what torch does in float16, where this model leaves the numbers
    found, near = (
        [_in_torch(module, sample) for sample in samples] for samples in (case.samples, _nudged(case))
    )
    for name in smooth(onnx.load(case.path).graph):
        moved = max(_rms(a[name], b[name]) for a, b in zip(found, near, strict=True))
        for sample, ours, theirs in zip(case.samples, case.expected, found, strict=True):
            _same_form(name, ours[name], theirs[name])
            if ours[name].dtype.kind != "f" or not ours[name].any():
                continue  # of nothing, any deviation is infinitely much: Sigmoid(-19) is 0 in ONNX Runtime alone
            if sqnr([ours[name]], [theirs[name]]) >= (25 if ours[name].dtype == np.float16 else 60):
                continue
            # 1 + tanh(-8) is what is left of 1, whose rounding it keeps. A norm of what is nearly the same everywhere
            # enlarges rounding, and as much what another rounding of the samples moves.
            rounding = 8 * float(np.finfo(ours[name].dtype).eps) * _largest(single, sample)
            if _rms(ours[name], theirs[name]) > max(rounding, 4 * moved):
                raise _FaultError("torch", f"{name}: {sqnr([ours[name]], [theirs[name]]):.1f} dB")


def _in_torch(module: qat.GraphModule, sample: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with torch.no_grad():
        return _numpy(module(*(torch.tensor(sample[n]) for n in module.input_names)), module.output_names)


def _nudged(case: _Case) -> list[dict[str, np.ndarray]]:
    """The samples, whose numbers are each rounded up or down by one more bit."""
    rng = np.random.default_rng(0)
    return [
        {n: np.nextafter(a, rng.choice((-np.inf, np.inf), a.shape).astype(a.dtype)) if a.dtype.kind == "f" else a
         for n, a in sample.items()}
        for sample in case.samples
    ]  # fmt: skip


def _rms(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean((a.astype(np.float64) - b) ** 2)))


def _largest(module: qat.GraphModule, sample: dict[str, np.ndarray]) -> float:
    """The largest magnitude of any float tensor in the model, inner ones too."""
    values: dict[str | None, Any] = {None: None, **module.constants()}
    values |= {name: torch.tensor(sample[name]) for name in module.input_names}
    with torch.no_grad():
        for step in module.steps:
            values |= zip(step.outputs, step.function([values[name] for name in step.inputs]), strict=False)
    floats = [v for v in values.values() if isinstance(v, torch.Tensor) and v.is_floating_point()]
    return max(float(v.detach().abs().max()) for v in floats if v.numel())


_DONE: dict[str, Callable[[_Case], None]] = {
    **dict.fromkeys(("static", "dynamic", "weight_only"), _quantized), "torch": _as_torch, "qat": _trained
}  # fmt: skip


def _proven(case: _Case) -> Outputs:
    """The outputs of the simulation, after what holds of every file that is written."""
    model = onnx.load(case.written)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise _FaultError("checker", error) from error
    _require_signature(onnx.load(case.path), model)
    ort = get_runtime("onnxruntime")
    simulated = _run(
        "simulation", lambda: ort.open(exact_products(whole(case.written)), threads=1, optimize=False), case
    )
    target = get_target(case.target)
    runtime = get_runtime(target.runtime)
    if runtime is ort and case.target != "arm64":  # whose kernels are not those of this machine
        real = _run("optimized", lambda: ort.open(case.written, threads=1), case)
    elif runtime.name == "openvino" and _runs_float(runtime, case):
        with _stored_weights_in_float(case):
            real = _run("openvino", lambda: runtime.open(case.written, threads=1), case)
            _run("openvino on all cores", lambda: runtime.open(case.written, threads=host().cores), case)
    else:
        real = simulated
    for outputs in (simulated, real):
        for ours, theirs in zip(case.expected, outputs, strict=True):
            for name, array in ours.items():
                _same_form(name, array, theirs[name])
    if not target.cpu.saturates_on(host()):
        _require_alike("real", case, real, simulated)
    return simulated


@contextmanager
def _stored_weights_in_float(case: _Case) -> Iterator[None]:
    """OpenVINO without its own quantizing of what stored weights multiply, which no simulation knows of."""
    option = "DYNAMIC_QUANTIZATION_GROUP_SIZE"
    if case.method == "static":
        yield
        return
    core = openvino._core()
    size = core.get_property("CPU", option)
    core.set_property("CPU", {option: 0})
    try:
        yield
    finally:
        core.set_property("CPU", {option: size})


def run_float(draft: Draft, way: Way) -> None:
    """Runs the float model on the runtime of the way's target."""
    drawn = build(draft)
    if drawn is None or not way[1]:
        return
    with suppress(TinyintError):
        session = get_runtime(get_target(way[1]).runtime).open(drawn.model.SerializeToString(), threads=1)
        for sample in drawn.samples:
            session.run(sample)


def _runs_float(runtime: Runtime, case: _Case) -> bool:
    """Whether the runtime itself is right about the float model; what it gets wrong there is not for us to judge."""
    try:
        session = runtime.open(case.path, threads=1)
        found = [session.run(sample) for sample in case.samples]
    except TinyintError:
        return False
    names = case.expected[0]
    alike = all(a[n].shape == b[n].shape for a, b in zip(case.expected, found, strict=True) for n in names)
    return alike and all(sqnr([o[n] for o in case.expected], [o[n] for o in found]) > 50 for n in names)


def _run(where: str, opened: Callable[[], Any], case: _Case) -> Outputs:
    try:
        session = opened()
        return [session.run(sample) for sample in case.samples]
    except TinyintError as error:
        raise _FaultError(f"load: {where}", error) from error


def _same_form(name: str, ours: np.ndarray, theirs: np.ndarray) -> None:
    if (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
        raise _FaultError("form", f"{name}: {ours.dtype} {ours.shape}, then {theirs.dtype} {theirs.shape}")
    if not np.isfinite(theirs).all():
        raise _FaultError("not finite", name)


def _require_signature(ours: onnx.ModelProto, theirs: onnx.ModelProto) -> None:
    held = {i.name for i in ours.graph.initializer}
    for kind in ("input", "output"):
        given, found = (
            [
                (v.name, v.type.tensor_type.elem_type, len(v.type.tensor_type.shape.dim))
                for v in getattr(m.graph, kind)
                if v.name not in held
            ]
            for m in (ours, theirs)
        )
        if given != found:
            raise _FaultError(f"signature: {kind}s", f"{given} → {found}")


def _require_alike(kind: str, case: _Case, found: Outputs, wanted: Outputs) -> None:
    told = compare(case.expected, wanted, found, smooth(onnx.load(case.path).graph))
    if told:
        raise _FaultError(kind, told)


def _require_good(case: _Case, simulated: Outputs) -> None:
    """No output farther from float than if every tensor had a quantizer over its range, wherever its codes lie."""
    model = load_model(case.path)
    reference = quantized_per_tensor(model, case.samples)
    told = "" if reference is None else _far(case, simulated, reference)
    if not told:
        return
    for shift in _SHIFTS:
        shifted = quantized_per_tensor(model, case.samples, shift)
        if shifted is not None and not _far(case, simulated, shifted):
            return
    raise _FaultError("simulated", told)


_SHIFTS = range(8)
"""Seeds for the codes of the quantizers: what an output loses by some of them is in the steps, and no fault."""


def _far(case: _Case, simulated: Outputs, reference: Outputs) -> str:
    """The first output that is much farther from float than in the reference."""
    for name in smooth(onnx.load(case.path).graph):
        expected = [o[name] for o in case.expected]
        ours, plain = (sqnr(expected, [o[name] for o in outputs]) for outputs in (simulated, reference))
        # of a few elements, either may be off by luck
        if any(array.any() for array in expected) and ours < min(plain - 12, 20):
            return f"{name}: {ours:.1f} dB, {plain:.1f} with a quantizer per tensor"
    return ""
