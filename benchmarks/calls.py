"""What a call of an opened model costs beside the bare runtime, and what its settings gain.

    pip install -e ".[test,zoo]"
    python benchmarks/calls.py

Both sides of a row take turns in one process, in an order drawn anew each round, and where they can they share one
loaded model. Ratios are medians of those of the rounds, tinyint over the bare runtime: below 1, tinyint is faster.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from machine import store
from models import inputs, model_file
from onnx import TensorProto, helper

import tinyint
from tinyint.extras.demo import demo_data, demo_model_path
from tinyint.runtimes.host import host

SMALL, LARGE = "the demo's network in int8", "16 MB of outputs"
CHANNELS, SIDE = 16, 512
Feeds = dict[str, np.ndarray]
Call = Callable[[], Any]


def turns(bare: Call, ours: Call, rounds: int, clock: Call) -> tuple[list[float], list[float]]:
    """Milliseconds of both, round by round."""
    times: dict[Call, list[float]] = {bare: [], ours: []}
    order = np.random.default_rng(0)
    for _ in range(rounds + rounds // 10):
        for call in (bare, ours) if order.random() < 0.5 else (ours, bare):
            start = clock()
            call()
            times[call].append(1e3 * (clock() - start))
    return times[bare][rounds // 10 :], times[ours][rounds // 10 :]


def row(what: str, runtime: str, bare: Call, ours: Call, rounds: int) -> dict[str, Any]:
    """Times of the processor, to which a busy machine adds little: of one thread they are those of the clock."""
    times = turns(bare, ours, rounds, time.process_time)
    ratio = statistics.median(b / a for a, b in zip(*times, strict=True))
    return shown(what, runtime, statistics.median(times[0]), statistics.median(times[1]), ratio)


def stream_row(what: str, runtime: str, bare: Call, ours: Call, rounds: int) -> dict[str, Any]:
    """Times of several threads, of the best round each: a busy machine only adds."""
    first, second = map(min, turns(bare, ours, rounds, time.perf_counter))
    return shown(what, runtime, first, second, second / first)


def shown(what: str, runtime: str, bare: float, ours: float, ratio: float) -> dict[str, Any]:
    figures = {"bare_ms": round(bare, 4), "tinyint_ms": round(ours, 4), "ratio": round(ratio, 3)}
    print(what, runtime, figures, flush=True)
    return {"what": what, "runtime": runtime, **figures}


def bare_call(model: tinyint.api.OpenModel, feeds: Feeds) -> Call:
    """The call that the runtime's own documentation shows, on the loaded model."""
    session: Any = model._session
    if model.runtime == "onnxruntime":
        return lambda: session._session.run(None, feeds)
    request = session._compiled.create_infer_request()
    places = {place: feeds[spec.name] for place, spec in enumerate(model.inputs)}
    return lambda: request.infer(places, share_inputs=True).to_tuple()


def bound_call(path: Path, feeds: Feeds) -> Call:
    """ONNX Runtime into bound buffers, which are used again."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    outputs = dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))
    for name, array in outputs.items():
        binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def call() -> None:
        for name, array in feeds.items():
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        session.run_with_iobinding(binding)

    return call


def files(folder: Path) -> dict[str, tuple[dict[str, Path], Feeds]]:
    """Of each network a file for each runtime, and feeds."""
    images, _ = demo_data("calibration")
    small = {}
    for runtime, target in (("onnxruntime", None), ("openvino", "openvino")):
        small[runtime] = folder / f"small.{runtime}.onnx"
        samples, run = tinyint.Samples(images, limit=60), tinyint.Run(verify=False)
        tinyint.quantize(demo_model_path(), samples, output=small[runtime], target=target, run=run)
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, CHANNELS, SIDE, SIDE]) for n in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "large", values[:1], values[1:])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9),
        folder / "large.onnx",
    )
    x = np.random.default_rng(0).standard_normal((1, CHANNELS, SIDE, SIDE)).astype(np.float32)
    return {
        SMALL: (small, {"input": images[:1]}),
        LARGE: (dict.fromkeys(small, folder / "large.onnx"), {"x": x}),
    }


def calls(what: str, runtime: str, path: Path, feeds: Feeds, rounds: int) -> list[dict[str, Any]]:
    with tinyint.open(path, runtime, threads=1) as model:
        rows = [row(f"run: {what}", runtime, bare_call(model, feeds), lambda: model.run(feeds), rounds)]
        if runtime == "onnxruntime":
            bound = bound_call(path, feeds)
            rows.append(
                row(f"run beside bound buffers: {what}", runtime, bound, lambda: model.run(feeds), rounds)
            )
    return rows


def settings(path: Path, runtime: str, sample: Feeds, rounds: int) -> list[dict[str, Any]]:
    cores = host().cores
    many = [sample] * 8 * cores
    free, known = (tinyint.open(path, runtime, threads=1, batch=batch) for batch in (None, 1))
    model = tinyint.open(path, runtime, threads=cores)
    bare = bare_call(model, sample)
    return [
        row("batch=1: mobilenet_v2", runtime, bare_call(free, sample), lambda: known.run(sample), rounds),
        stream_row(
            f"map: mobilenet_v2, {cores} threads, {len(many)} images",
            runtime,
            lambda: [bare() for _ in many],
            lambda: list(model.map(many)),
            max(rounds // 8, 5),
        ),
    ]


def measure(folder: Path, rounds: int) -> list[dict[str, Any]]:
    rows = []
    for what, (paths, feeds) in files(folder).items():
        for runtime, path in paths.items():
            rows += calls(what, runtime, path, feeds, rounds if what == SMALL else rounds // 10)
    (sample,) = inputs("mobilenet_v2", 1)
    for runtime in ("onnxruntime", "openvino"):
        rows += settings(model_file("mobilenet_v2", folder), runtime, sample, rounds // 10)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("TINYINT_CACHE_DIR", scratch)
        store("calls", measure(folder, options.rounds), ("what", "runtime"))


if __name__ == "__main__":
    main()
