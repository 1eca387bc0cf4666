"""This processor as one with fewer instruction sets, to every library in a process.

    python -m tests.masked AVX2 python -m pytest
    python -m tests.masked AVX512 tinyint bench model.int8.onnx

AVX2 hides AVX-512, VNNI and AMX, AVX512 the latter two. It needs Linux on a processor on which `cpuid` can be made to
fault, and a C compiler; what runs does so at its full speed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_name("cpuid_mask.c")
FEATURES = {
    "AVX2": "avx2 fma",
    "AVX512": "avx2 fma avx512f avx512bw avx512cd avx512dq avx512vl",
}
"""What is left of each, as /proc/cpuinfo spells it: the file itself cannot be masked."""


def refusal() -> str:
    """Why this machine can't do it; empty if it can."""
    flags = Path("/proc/cpuinfo")
    if not flags.exists() or "cpuid_fault" not in flags.read_text().split():
        return "needs an x86 processor on which cpuid can be made to fault, on Linux"
    return "" if _compiler() else "needs a C compiler"


def environment(isa: str) -> dict[str, str]:
    """Of a child process to which the processor is no more than `isa`, one of FEATURES."""
    return os.environ | {
        "CPUID_MASK": isa,
        "LD_PRELOAD": str(_library()),
        "TINYINT_CPU_FEATURES": FEATURES[isa],
    }


def _compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


@cache
def _library() -> Path:
    compiler = _compiler()
    assert compiler is not None, refusal()
    folder = Path(tempfile.mkdtemp(prefix="cpuid-mask-"))
    library = folder / "cpuid_mask.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"]
    plain = {
        key: value for key, value in os.environ.items() if key != "LD_PRELOAD"
    }  # where this is masked itself
    subprocess.run(command, env=plain, check=True)
    return library


def main() -> None:
    match sys.argv[1:]:
        case [isa, *command] if isa in FEATURES and command:
            if reason := refusal():
                sys.exit(f"error: {reason}")
            sys.exit(subprocess.run(command, env=environment(isa), check=False).returncode)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
