"""The cost of a training step with fake quantization, beside the float step of the original module: time and memory.

    python benchmarks/qat.py [mobilenet_v2 resnet50] [--rounds 12]

The float module trains with its batch norms in training mode. The steps take turns in one process: forward, cross
entropy, backward, SGD, on a batch of 8 images of 224×224. Memory is what a process of its own grows by, at the peak of
three steps, over the module being there. Peers take part if they are installed and run.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from machine import store
from torch import Tensor, nn

import tinyint
from tinyint import qat, zoo

BATCH, SIZE, WARMUP, THREADS = 8, 224, 2, 2


def trained_by_tinyint(module: nn.Module, images: Tensor) -> nn.Module:
    graph = tinyint.load(module, images[:1])
    return qat.prepare(graph, images[:4].numpy(), target="x86-vnni").train()


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
    labels = torch.arange(BATCH)

    def step() -> float:
        start = time.perf_counter()
        loss = nn.functional.cross_entropy(module(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return time.perf_counter() - start

    return step


def steps(name: str, images: Tensor) -> dict[str, Callable[[], float]]:
    made = {}
    for maker in MAKERS:
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


def peak_memory(maker: str, name: str) -> int:
    """Bytes by which three steps make this process grow at their peak; it should have done nothing else."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(THREADS)
    step = make_step(maker, name, torch.from_numpy(zoo.natural_images(BATCH, size=SIZE)))
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what making the module has left
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # starts the peak anew
    before = _status("VmRSS")
    for _ in range(3):
        step()
    return _status("VmHWM") - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["mobilenet_v2", "resnet50"])
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(THREADS)
    order = np.random.default_rng(0)
    for name in options.models:
        torch.manual_seed(0)
        images = torch.from_numpy(zoo.natural_images(BATCH, size=SIZE))
        run = steps(name, images)
        seconds: dict[str, list[float]] = {maker: [] for maker in run}
        for i in range(WARMUP + options.rounds):
            for maker in order.permutation(list(run)):
                taken = run[maker]()
                if i >= WARMUP:
                    seconds[maker].append(taken)
        spawned = multiprocessing.get_context("spawn")
        memory = {}
        for maker in run:
            with spawned.Pool(1) as pool:
                memory[maker] = pool.apply(peak_memory, (maker, name))
        rows = [
            {
                "model": name,
                "made_by": maker,
                "batch": BATCH,
                "threads": THREADS,
                "median_seconds": round(statistics.median(taken), 3),
                "ratio_to_float": round(
                    statistics.median(a / b for a, b in zip(taken, seconds["float"], strict=True)), 3
                ),
                "peak_mib": round(memory[maker] / 2**20),
                "memory_ratio_to_float": round(memory[maker] / memory["float"], 3),
            }
            for maker, taken in seconds.items()
        ]
        for row in rows:
            print(row, flush=True)
        store("qat", rows, ("model", "made_by"))


if __name__ == "__main__":
    main()
