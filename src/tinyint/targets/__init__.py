"""Targets by name."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.errors import TargetError, nearest
from tinyint.runtimes.host import Host, host
from tinyint.targets.arm import ARM64
from tinyint.targets.cpu import Cpu
from tinyint.targets.generic import GENERIC
from tinyint.targets.openvino import OPENVINO, OPENVINO_AVX2
from tinyint.targets.ort import ORT
from tinyint.targets.packing import Packing
from tinyint.targets.target import Inputs, Kernel, OperatorRule, Output, Target, WeightAxis, Weightless
from tinyint.targets.tensorrt import TENSORRT
from tinyint.targets.violation import Violation
from tinyint.targets.window import Window
from tinyint.targets.x86 import X86_AVX2, X86_VNNI

__all__ = [
    "TARGETS",
    "Cpu",
    "Inputs",
    "Kernel",
    "OperatorRule",
    "Output",
    "Packing",
    "Target",
    "Violation",
    "WeightAxis",
    "Weightless",
    "Window",
    "default_target",
    "get_target",
    "limited_target",
    "violations",
]

TARGETS: dict[str, Target] = {
    t.name: t for t in (X86_VNNI, X86_AVX2, OPENVINO, OPENVINO_AVX2, TENSORRT, ARM64, GENERIC)
}

# `openvino` is one name for two kinds of processor, and means this machine's.
_BY_MACHINE = {"openvino": (OPENVINO_AVX2, OPENVINO)}
_FIXED = {"openvino-vnni": OPENVINO}


def default_target(machine: Host | None = None) -> Target:
    """First target on ONNX Runtime that is for this machine."""
    machine = machine or host()
    return next(t for t in TARGETS.values() if t.runtime == ORT.runtime and t.cpu.is_of(machine))


def get_target(name: str | None = None, machine: Host | None = None) -> Target:
    """Target by name; without a name, this machine's.

    `openvino` means `openvino-avx2` on a machine whose pair sums saturate; `openvino-vnni` is the same target on every
    machine. Raises TargetError for an unknown name.
    """
    machine = machine or host()
    if name is None:
        return default_target(machine)
    if name in _BY_MACHINE:
        return next((t for t in _BY_MACHINE[name] if t.cpu.is_of(machine)), TARGETS[name])
    if name in _FIXED:
        return _FIXED[name]
    if name not in TARGETS:
        raise TargetError(f"there is no target {name!r}; {nearest(name, [*TARGETS, *_FIXED])}")
    return TARGETS[name]


def limited_target(runtime: str) -> Target | None:
    """Target on `runtime` for processors whose pair sums saturate; None if there is none."""
    return next((t for t in TARGETS.values() if t.runtime == runtime and t.cpu.pair_sums_saturate), None)


def violations(model: ir.Model, runtime: str) -> list[Violation]:
    """Rules of targets on `runtime` that an int8 model breaks."""
    checks = dict.fromkeys(t.check for t in TARGETS.values() if t.runtime == runtime)
    return [violation for check in checks for violation in check(model)]
