"""Time and memory of static quantization, beside a plain float pass over the same samples. Linux.

    python benchmarks/calibration.py [MODEL...] [--samples 100] [--repeats 3]

Each measurement is a process of its own, in turns; `seconds` begins when the packages are imported and the inputs
made, and ends when the quantized model is written. Peak memory is the process's largest resident set.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from machine import store
from models import Feeds, inputs, model_file

THREADS = 2


def float_pass(model: Path, _output: Path, samples: list[Feeds]) -> Callable[[], None]:
    """What cannot be avoided: load the model and run it over the samples."""
    import onnxruntime

    def run() -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        session = onnxruntime.InferenceSession(model, options)
        for feeds in samples:
            session.run(None, feeds)

    return run


def tinyint_kl(model: Path, output: Path, samples: list[Feeds]) -> Callable[[], dict[str, float]]:
    import tinyint
    from tinyint.runtimes import ort

    assert ort.RUNTIME.available()

    def run() -> dict[str, float]:
        made = tinyint.quantize(
            model,
            tinyint.Samples(samples, limit="all"),
            output=output,
            target="x86-vnni",
            recipe=tinyint.Recipe.load("default").with_settings(["calibration=kl"]),
            run=tinyint.Run(threads=THREADS, verify=False),
        )
        return dict(made.report.seconds)

    return run


def ort(method: str) -> Callable[[Path, Path, list[Feeds]], Callable[[], None]]:
    def prepare(model: Path, output: Path, samples: list[Feeds]) -> Callable[[], None]:
        from peers import onnxruntime_static

        return lambda: onnxruntime_static(model, output, samples, method)

    return prepare


def nncf(model: Path, output: Path, samples: list[Feeds]) -> Callable[[], None]:
    import nncf as _  # noqa: F401
    from peers import nncf_openvino

    return lambda: nncf_openvino(model, output.with_suffix(".xml"), samples)


TOOLS = {
    "float pass": float_pass,
    "tinyint KL": tinyint_kl,
    "onnxruntime.quantization MinMax": ort("MinMax"),
    "onnxruntime.quantization Entropy": ort("Entropy"),
    "onnxruntime.quantization Percentile": ort("Percentile"),
    "nncf": nncf,
}


def measure(tool: str, model: Path, name: str, samples: int) -> None:
    """In the process of its own: prints seconds and bytes as JSON."""
    images = inputs(name, min(samples, 100))
    images = [images[i % len(images)] for i in range(samples)]
    with tempfile.TemporaryDirectory() as folder:
        job = TOOLS[tool](model, Path(folder) / "quantized.onnx", images)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        start = time.perf_counter()
        steps = job()
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak_bytes": peak, "before_bytes": before, "steps": steps}))


def in_a_process(tool: str, model: Path, name: str, samples: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", tool, str(model), name, str(samples)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        tool, model, name, samples = sys.argv[2:]
        measure(tool, Path(model), name, int(samples))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["mobilenet_v1", "resnet50"])
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tools", nargs="*", default=list(TOOLS))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "tinyint-benchmarks")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.models:
        model = model_file(name, options.folder)
        runs: dict[str, list[dict[str, float]]] = {tool: [] for tool in options.tools}
        for repeat in range(options.repeats):
            for tool in options.tools:
                if repeat == 0 or len(runs[tool]) == 0 or runs[tool][0]["seconds"] < 60:
                    runs[tool].append(in_a_process(tool, model, name, options.samples))
        base = statistics.median(run["seconds"] for run in runs["float pass"])
        rows = [
            {
                "model": name,
                "samples": options.samples,
                "threads": THREADS,
                "tool": tool,
                "runs": len(found),
                "seconds": round(statistics.median(run["seconds"] for run in found), 2),
                "float_passes": round(statistics.median(run["seconds"] for run in found) / base, 2),
                "peak_mb": round(statistics.median(run["peak_bytes"] for run in found) / 1e6),
                "inputs_and_imports_mb": round(statistics.median(run["before_bytes"] for run in found) / 1e6),
            }
            for tool, found in runs.items()
        ]
        for row in rows:
            if row["tool"] == "tinyint KL":
                row["steps"] = runs["tinyint KL"][-1]["steps"]
        for row in rows:
            print(row, flush=True)
        store("calibration", rows, ("model", "samples", "tool"))


if __name__ == "__main__":
    main()
