"""The targets, by name."""

from __future__ import annotations

from tinyint.errors import TargetError, nearest
from tinyint.runtimes.host import default_target_name
from tinyint.targets.arm import ARM64
from tinyint.targets.generic import GENERIC
from tinyint.targets.openvino import OPENVINO
from tinyint.targets.target import Inputs, Kernel, OperatorRule, Output, Target, Weightless
from tinyint.targets.tensorrt import TENSORRT
from tinyint.targets.x86 import X86_AVX2, X86_VNNI

__all__ = ["TARGETS", "Inputs", "Kernel", "OperatorRule", "Output", "Target", "Weightless", "get_target"]

TARGETS: dict[str, Target] = {t.name: t for t in (X86_VNNI, X86_AVX2, OPENVINO, TENSORRT, ARM64, GENERIC)}


def get_target(name: str | None = None) -> Target:
    """The target of that name; without one, what this machine is. Raises TargetError for an unknown name."""
    if name is None:
        name = default_target_name()
    if name not in TARGETS:
        raise TargetError(f"there is no target {name!r}; {nearest(name, TARGETS)}")
    return TARGETS[name]
