"""EfficientNet-Lite0 on processors with and without VNNI: what runs, beside what was simulated.

    python benchmarks/processors.py --folder /tmp/processors [--samples 300] [--emulated 30]

OpenVINO is held to older processors by ONEDNN_MAX_CPU_ISA. ONNX Runtime, which has no such switch, runs the first
`--emulated` samples under `qemu-x86_64 -cpu Haswell` (Debian's qemu-user).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from machine import store
from pretrained.efficientnet_lite0 import INPUT, crops, export

import tinyint
from tinyint.numerics import sqnr_db
from tinyint.runtimes import get_runtime

CALIBRATION = 100
MADE = {
    "x86-vnni": ("x86-vnni", ()),
    "x86-avx2": ("x86-avx2", ()),
    "x86-avx2, 7 bits": ("x86-avx2", ("weights.bits=7",)),
    "openvino": ("openvino-vnni", ()),
    "openvino-avx2": ("openvino-avx2", ()),
    "openvino-avx2, 7 bits": ("openvino-avx2", ("weights.bits=7",)),
}
QEMU = ["qemu-x86_64", "-cpu", "Haswell"]
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "TINYINT_CPU_FEATURES": "avx2 fma"}
AVX512 = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "TINYINT_CPU_FEATURES": "avx2 fma avx512f avx512bw avx512vl"}


def make(folder: Path) -> None:
    model = export(folder / "float.onnx")
    images = crops(CALIBRATION, seed=1)
    for name, (target, settings) in MADE.items():
        tinyint.quantize(
            model,
            images,
            target=target,
            settings=[f"samples={CALIBRATION}", *settings],
            verify=False,
            output=folder / f"{name}.onnx",
        )


def logits(folder: Path, name: str, runtime: str, count: int) -> None:
    """Writes those of the first samples, to be compared."""
    simulated = runtime == "simulated"
    opened = get_runtime("onnxruntime" if simulated else runtime)
    session = opened.open(folder / f"{name}.onnx", threads=1, optimize=not simulated)
    images = np.load(folder / "crops.npy", mmap_mode="r")[:count]
    found = [next(iter(session.run({INPUT: images[i : i + 1]}).values())) for i in range(count)]
    np.save(folder / f"logits {name} {runtime}.npy", np.concatenate(found))


def row(
    folder: Path, name: str, runtime: str, count: int, processor: str, child: list[str], **env: str
) -> dict[str, Any]:
    command = [
        *child,
        sys.executable,
        __file__,
        "--folder",
        str(folder),
        "--child",
        name,
        runtime,
        str(count),
    ]
    subprocess.run(command, env=os.environ | env, check=True, stderr=subprocess.DEVNULL)
    found = np.load(folder / f"logits {name} {runtime}.npy")
    expected = np.load(folder / "logits float onnxruntime.npy")[:count]
    return {
        "model": name,
        "runtime": runtime,
        "instructions": processor,
        "samples": count,
        "sqnr_db": round(sqnr_db(expected, found), 2),
        "same_top1": round(float((found.argmax(1) == expected.argmax(1)).mean()), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--emulated", type=int, default=30)
    parser.add_argument("--child", nargs=3, metavar=("NAME", "RUNTIME", "COUNT"))
    options = parser.parse_args()
    folder, count = options.folder, options.samples
    if options.child:
        name, runtime, few = options.child
        logits(folder, name, runtime, int(few))
        return
    folder.mkdir(parents=True, exist_ok=True)
    make(folder)
    np.save(folder / "crops.npy", crops(count, seed=2))
    logits(folder, "float", "onnxruntime", count)
    rows = []
    for name, (target, _) in MADE.items():
        rows.append(row(folder, name, "simulated", count, "any", []))
        if target.startswith("openvino"):
            rows.append(row(folder, name, "openvino", count, "AVX2", [], **AVX2))
            rows.append(row(folder, name, "openvino", count, "AVX-512 without VNNI", [], **AVX512))
        elif shutil.which(QEMU[0]):
            place = "AVX2 (qemu, Haswell)"
            rows.append(row(folder, name, "onnxruntime", options.emulated, place, QEMU, **AVX2))
        print(*rows[-2:], sep="\n", flush=True)
    store("processors", rows, ("model", "runtime", "instructions"))


if __name__ == "__main__":
    main()
