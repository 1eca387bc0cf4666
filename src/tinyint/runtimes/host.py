"""Facts about this machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

__all__ = [
    "Host",
    "expected_gain",
    "host",
    "parse_auxv",
    "parse_cpuinfo",
    "peak_rss_bytes",
]

_HWCAP, _HWCAP2 = 16, 26
_AUXV = {"asimd": (_HWCAP, 1), "asimddp": (_HWCAP, 20), "i8mm": (_HWCAP2, 13), "bf16": (_HWCAP2, 14)}
"""Entry and bit of what is asked of ARM (Linux, uapi/linux/auxvec.h and arch/arm64/include/uapi/asm/hwcap.h)."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """Processor of a machine, and whether there is a GPU."""

    machine: str  # "x86_64", "arm64", or the system's own name
    model: str
    cores: int  # those that this process may use
    features: frozenset[str]  # instruction sets, by the operating system's names, in lower case
    gpu: bool = False  # of NVIDIA, with its driver

    @property
    def is_x86(self) -> bool:
        return self.machine == "x86_64"

    @property
    def is_arm64(self) -> bool:
        return self.machine == "arm64"

    @property
    def has_avx2(self) -> bool:
        return "avx2" in self.features

    @property
    def has_avx512(self) -> bool:
        return {"avx512f", "avx512bw", "avx512vl"} <= self.features

    @property
    def has_vnni(self) -> bool:
        """8-bit dot products without saturation: VPDPBUSD, in its AVX-512 or AVX form."""
        return bool({"avx512_vnni", "avx_vnni"} & self.features)

    @property
    def identity(self) -> tuple[object, ...]:
        """Facts that speeds depend on, for keys of remembered measurements."""
        return self.model, sorted(self.features), self.cores

    @property
    def label(self) -> str:
        """Model, and the instructions that decide how it adds 8-bit products."""
        known = {
            "AMX": self.has_amx_int8,
            "VNNI": self.has_vnni,
            "AVX-512 without VNNI": self.has_avx512 and not self.has_vnni,
            "AVX2 without VNNI": self.has_avx2 and not (self.has_avx512 or self.has_vnni),
            "8-bit dot products": self.is_arm64 and self.has_dotprod,
        }
        sets = ", ".join(name for name, has in known.items() if has)
        return f"{self.model or self.machine} ({sets or 'no int8 instructions'})"

    @property
    def pair_sums_saturate(self) -> bool:
        """Whether 8-bit kernels add pairs of products in 16 bits (VPMADDUBSW): on x86 without VNNI."""
        return self.is_x86 and bool(self.features) and not self.has_vnni

    @property
    def lacks(self) -> str | None:
        """Instructions that are missing for fast int8 kernels; None if none are."""
        if self.is_x86 and not self.has_avx2:
            return "AVX2"
        return "8-bit dot products" if self.is_arm64 and not self.has_dotprod else None

    @property
    def has_amx_int8(self) -> bool:
        return "amx_int8" in self.features

    @property
    def has_bfloat16(self) -> bool:
        return bool({"avx512_bf16", "amx_bf16", "bf16"} & self.features)

    @property
    def has_dotprod(self) -> bool:
        """SDOT and UDOT on ARM (Linux calls them asimddp)."""
        return bool({"asimddp", "feat_dotprod"} & self.features)

    @property
    def has_i8mm(self) -> bool:
        return bool({"i8mm", "feat_i8mm"} & self.features)


@cache
def host() -> Host:
    """Facts about this machine; unknown ones are empty.

    The environment variable TINYINT_CPU_FEATURES replaces the instruction sets, as /proc/cpuinfo spells them: an
    emulator may show those of the processor that it runs on. Those of 64-bit ARM come from the auxiliary vector, which
    is the emulated one's.
    """
    machine = {"AMD64": "x86_64", "x86": "x86_64", "aarch64": "arm64"}.get(
        platform.machine(), platform.machine()
    )
    if sys.platform == "linux":
        model, features = parse_cpuinfo(_read("/proc/cpuinfo").decode(errors="replace"))
        if machine == "arm64":
            seen, features = features, parse_auxv(_read("/proc/self/auxv")) or features
            model = model if "asimd" in seen else "emulated"
    elif sys.platform == "darwin":
        model, features = _darwin()
    else:
        model, features = platform.processor(), frozenset()
    override = os.environ.get("TINYINT_CPU_FEATURES")
    if override is not None:
        model, features = "as TINYINT_CPU_FEATURES says", frozenset(override.lower().split())
    return Host(
        machine=machine,
        model=model or platform.processor(),
        cores=_cores(),
        features=features,
        gpu=Path("/dev/nvidiactl").exists(),
    )


def parse_cpuinfo(text: str) -> tuple[str, frozenset[str]]:
    """(model name, features) of the first processor in the text of Linux's /proc/cpuinfo."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, separator, value = line.partition(":")
        if separator:
            fields.setdefault(key.strip().lower(), value.strip())
    flags = fields.get("flags") or fields.get("features") or ""
    model = fields.get("model name") or fields.get("cpu model") or ""
    if not model and "cpu part" in fields:  # all that ARM processors tell
        model = f"part {fields['cpu part']} of implementer {fields.get('cpu implementer', '?')}"
    return model, frozenset(flags.lower().split())


def parse_auxv(vector: bytes) -> frozenset[str]:
    """Features of a 64-bit ARM processor in Linux's /proc/self/auxv, as /proc/cpuinfo spells them."""
    entries = np.frombuffer(vector[: len(vector) // 16 * 16], np.uint64).reshape(-1, 2)
    words = {int(key): int(value) for key, value in entries}
    return frozenset(name for name, (key, bit) in _AUXV.items() if words.get(key, 0) >> bit & 1)


def expected_gain(machine: Host | None = None) -> str:
    """Sentence about the speed of int8 networks on this machine, relative to float32.

    The ratios were measured on convolutional networks, on one core. VPDPBUSD does 64 multiply-adds where a float FMA
    does 16, so 4 is its ceiling; without it, three instructions do the same work.
    """
    machine = machine or host()
    if machine.is_x86 and machine.has_amx_int8:
        return "int8 matrix tiles (AMX): 3 to 4 times float32, more for large dense layers"
    if machine.is_x86 and machine.has_vnni:
        return "8-bit dot products (VNNI): 3 to 3.7 times float32, 4 at most"
    if machine.is_x86 and machine.has_avx2:
        width = "AVX-512 without VNNI" if machine.has_avx512 else "AVX2 without VNNI"
        return (
            f"{width}: about 1.5 times float32; sums of pairs saturate, which the weights are made to avoid"
        )
    if machine.is_arm64 and machine.has_dotprod:
        return "8-bit dot products (SDOT): about 2 to 3 times float32"
    if machine.is_arm64:
        return "no 8-bit dot products: little or no gain; compare with `tinyint bench`"
    return "unknown processor: compare with `tinyint bench`"


def peak_rss_bytes() -> int | None:
    """Peak memory of this process; None on a system that does not report it."""
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _darwin() -> tuple[str, frozenset[str]]:
    """(model name, features) from sysctl on macOS.

    Its lines are such as `hw.optional.arm.FEAT_DotProd: 1` and `machdep.cpu.features: FPU AVX1.0 …`.
    """
    values = dict(line.partition(": ")[::2] for line in _run("sysctl", "-a").splitlines())
    optional = {
        key.rpartition(".")[2] for key, value in values.items() if "hw.optional" in key and value == "1"
    }
    listed = values.get("machdep.cpu.features", "") + " " + values.get("machdep.cpu.leaf7_features", "")
    features = {name.lower() for name in optional} | set(listed.lower().split())
    features |= {"avx2"} & {name.removesuffix("_0") for name in features}
    return values.get("machdep.cpu.brand_string", ""), frozenset(features)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _run(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
