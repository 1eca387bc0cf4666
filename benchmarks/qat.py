"""The cost of a training step with fake quantization, beside the float step of the original module: time and memory.

    python benchmarks/qat.py [mobilenet_v2 resnet50] [--batch-size 4 8] [--isa AVX2] [--makers float tinyint]

The float module trains with its batch norms in training mode. The steps take turns in one process: forward, cross
entropy, backward, SGD, on a batch of images of 224×224. `--isa` holds torch and oneDNN to what a lesser processor has.
Memory is what a process of its own grows by, at the peak of
three steps, over the module being there. Peers take part if they are installed and run.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import multiprocessing
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import store
from torch import Tensor, nn

import tinyint
from tinyint import qat
from tinyint.extras import zoo
from tinyint.targets import default_target

SIZE, WARMUP, THREADS = 224, 2, 2
ISA = {
    "AVX2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "TINYINT_CPU_FEATURES": "avx2 fma",
    },
    "AVX512": {  # without VNNI
        "ATEN_CPU_CAPABILITY": "avx512",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "TINYINT_CPU_FEATURES": "avx2 fma avx512f avx512bw avx512vl avx512dq avx512cd",
    },
}


def trained_by_tinyint(module: nn.Module, images: Tensor) -> nn.Module:
    graph = tinyint.load(module, images[:1])
    return qat.prepare(graph, images[:4].numpy(), target=default_target()).train()


def trained_by_torch_ao(module: nn.Module, images: Tensor) -> nn.Module:
    from torch.ao.quantization import get_default_qat_qconfig_mapping
    from torch.ao.quantization.quantize_fx import prepare_qat_fx

    return prepare_qat_fx(module.train(), get_default_qat_qconfig_mapping("x86"), (images[:1],)).train()


def trained_by_nncf(module: nn.Module, images: Tensor) -> nn.Module:
    import nncf

    return nncf.quantize(module.eval(), nncf.Dataset([images[:1]]), subset_size=1).train()


MAKERS: dict[str, Callable[[nn.Module, Tensor], nn.Module]] = {
    "float": lambda module, _images: module.train(),
    "tinyint": trained_by_tinyint,
    "torch.ao": trained_by_torch_ao,
    "nncf": trained_by_nncf,
}


def make_step(maker: str, name: str, images: Tensor) -> Callable[[], float]:
    """A training step of the model as `maker` makes it; it returns its seconds."""
    module = MAKERS[maker](zoo.build(name), images)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-4, momentum=0.9)
    labels = torch.arange(len(images))

    def step() -> float:
        start = time.perf_counter()
        loss = nn.functional.cross_entropy(module(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return time.perf_counter() - start

    return step


def steps(name: str, images: Tensor, makers: list[str]) -> dict[str, Callable[[], float]]:
    made = {}
    for maker in makers:
        try:
            step = make_step(maker, name, images)
            step()
            made[maker] = step
        except Exception as error:  # a peer that does not run is left out, and said so
            if maker in ("float", "tinyint"):
                raise
            print(f"{maker} does not run: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
    return made


def _status(key: str) -> int:
    """A line of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def peak_memory(maker: str, name: str, batch: int) -> int:
    """Bytes by which three steps make this process grow at their peak; it should have done nothing else."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(THREADS)
    step = make_step(maker, name, torch.from_numpy(zoo.natural_images(batch, size=SIZE)))
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what making the module has left
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # starts the peak anew
    before = _status("VmRSS")
    for _ in range(3):
        step()
    return _status("VmHWM") - before


def hold_to(isa: str | None) -> None:
    """Starts this script anew where the libraries look up what instructions they may use before it can say so."""
    wanted = ISA[isa] if isa else {}
    if any(os.environ.get(key) != value for key, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | wanted)  # noqa: S606


def measure(name: str, batch: int, makers: list[str], rounds: int) -> list[dict[str, Any]]:
    order = np.random.default_rng(0)
    torch.manual_seed(0)
    run = steps(name, torch.from_numpy(zoo.natural_images(batch, size=SIZE)), makers)
    seconds: dict[str, list[float]] = {maker: [] for maker in run}
    for i in range(WARMUP + rounds):
        for maker in order.permutation(list(run)):
            taken = run[maker]()
            if i >= WARMUP:
                seconds[maker].append(taken)
    spawned = multiprocessing.get_context("spawn")
    memory = {}
    for maker in run:
        with spawned.Pool(1) as pool:
            memory[maker] = pool.apply(peak_memory, (maker, name, batch))
    return [
        {
            "model": name,
            "made_by": maker,
            "batch": batch,
            "threads": THREADS,
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "target": default_target().name,
            "median_seconds": round(statistics.median(taken), 3),
            "ratio_to_float": round(
                statistics.median(a / b for a, b in zip(taken, seconds["float"], strict=True)), 3
            ),
            "peak_mib": round(memory[maker] / 2**20),
            "memory_ratio_to_float": round(memory[maker] / memory["float"], 3),
        }
        for maker, taken in seconds.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["mobilenet_v2", "resnet50"])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--isa", choices=list(ISA), help="what the processor has at most")
    parser.add_argument("--makers", nargs="+", choices=list(MAKERS), default=list(MAKERS))
    options = parser.parse_args()
    hold_to(options.isa)
    warnings.simplefilter("ignore")
    torch.set_num_threads(THREADS)
    for name in options.models:
        for batch in options.batch_size:
            rows = measure(name, batch, options.makers, options.rounds)
            for row in rows:
                print(row, flush=True)
            store("qat", rows, ("model", "made_by", "batch", "instructions", "target"))


if __name__ == "__main__":
    main()
