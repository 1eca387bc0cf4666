"""Pretrained networks in int8, tinyint's beside other tools': accuracy on unseen samples, latency, cost.

    python benchmarks/pretrained/measure.py [NETWORK ...] [--samples 2000] [--makers float tinyint NNCF] [--store]

Needs tinyint[openvino,pretrained], and nncf for the peers. Every model is asked the same samples in one run, and
latencies are measured in turn in one process. `--times` measures those alone, again, of models made before.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from machine import RESULTS, processor, store
from peers import nncf_openvino, onnxruntime_static
from pretrained.network import Array, Network, Samples
from pretrained.ocr import Classifier, Detector, Recognizer
from pretrained.photographs import PhotographClassifier
from pretrained.sentences import SentenceEncoder

import tinyint
from tinyint.proof.bench import Entry, benchmark
from tinyint.runtimes import get_runtime
from tinyint.runtimes.host import host
from tinyint.targets import get_target
from tinyint.tasks.paired import mcnemar

NETWORKS: dict[str, Network] = {
    network.name: network
    for network in (Recognizer(), Detector(), Classifier(), PhotographClassifier(), SentenceEncoder())
}
CALIBRATION = 100
DRAWS = 2000


@dataclass(frozen=True)
class Maker:
    """A tool with options: writes what it makes of a float model, for one runtime."""

    name: str
    runtime: str
    make: Callable[[Path, Path, Samples], None]
    suffix: str = ".onnx"


def own(runtime: str, recipe: str, settings: Sequence[str] = (), race: float | None = None) -> Maker:
    vnni = "vnni" if host().has_vnni else "avx2"
    target = get_target(f"x86-{vnni}" if runtime == "onnxruntime" else "openvino").name

    def make(model: Path, output: Path, samples: Samples) -> None:
        tinyint.quantize(
            model,
            tinyint.Samples(samples.feeds, limit="all"),
            output=output,
            target=target,
            recipe=tinyint.Recipe.load(recipe).with_settings(settings),
            run=tinyint.Run(verify=False, race=race, threads=1 if race else None),
        )

    told = [f"--race {race:g}"] if race else []
    return Maker(" ".join((f"tinyint {recipe}", *settings, *told)), runtime, make)


def nncf(*, transformer: bool) -> Maker:
    def make(model: Path, output: Path, samples: Samples) -> None:
        nncf_openvino(model, output, list(samples.feeds), transformer=transformer)

    return Maker("NNCF transformer" if transformer else "NNCF", "openvino", make, suffix=".xml")


def _nothing(_model: Path, _output: Path, _samples: Samples) -> None:
    """The float model stays where it is."""


def makers(settings: Sequence[str], race: float | None = None) -> Iterator[Maker]:
    for runtime in ("onnxruntime", "openvino"):
        yield Maker("float", runtime, _nothing)
        yield own(runtime, "default")
        for each in settings:
            yield own(runtime, "default", each.split())
        if race:
            yield own(runtime, "default", race=race)
    yield Maker("ort.quantization", "onnxruntime", lambda m, o, s: onnxruntime_static(m, o, list(s.feeds)))
    yield nncf(transformer=False)
    yield nncf(transformer=True)


@dataclass(frozen=True)
class Bench:
    """One network, its samples, and what the float model says of them."""

    network: Network
    folder: Path
    model: Path
    calibration: Samples
    held_out: Samples
    expected: list[Array]

    @classmethod
    def of(cls, network: Network, folder: Path, count: int) -> Bench:
        model, held_out = network.export(folder), network.samples(count, 2)
        calibration = network.samples(CALIBRATION, 1)
        return cls(network, folder, model, calibration, held_out, answers(model, "onnxruntime", held_out))

    def made(self, maker: Maker) -> tuple[Path, float]:
        """The maker's file, and the seconds that it took."""
        output = self.output(maker)
        if output == self.model:
            return output, 0.0
        start = time.perf_counter()
        maker.make(self.model, output, self.calibration)
        return output, time.perf_counter() - start

    def output(self, maker: Maker) -> Path:
        if maker.name == "float":
            return self.model
        return self.folder / f"{self.network.name} {maker.name} {maker.runtime}{maker.suffix}"

    def row(self, maker: Maker) -> tuple[dict[str, Any], Path | None]:
        """Accuracy and cost; of a tool that fails, with what."""
        row: dict[str, Any] = {"network": self.network.name, "maker": maker.name, "runtime": maker.runtime}
        try:
            output, seconds = self.made(maker)
            found = answers(output, maker.runtime, self.held_out)
        except Exception as error:
            return {**row, "failed": f"{type(error).__name__}: {error}"[:200]}, None
        floats = self.network.metrics(self.held_out, self.expected, self.expected)
        metrics = {
            name: compared(values, floats[name])
            for name, values in self.network.metrics(self.held_out, self.expected, found).items()
        }
        return {**row, "samples": len(found), "seconds": round(seconds, 1), "metrics": metrics}, output

    def rows(self, makers: Iterable[Maker]) -> list[dict[str, Any]]:
        """A row for each maker, with latencies on one thread and on two."""
        rows, timed = [], list[tuple[dict[str, Any], Entry]]()
        for maker in makers:
            row, output = self.row(maker)
            print(json.dumps(row), flush=True)
            rows.append(row)
            if output is not None:
                timed.append((row, Entry(model=output, runtime=get_runtime(maker.runtime))))
        self.time(timed)
        return rows

    def time(self, timed: Sequence[tuple[dict[str, Any], Entry]]) -> None:
        """Measures latencies on one thread and on two, into the rows."""
        for threads in (1, 2):
            feeds = self.held_out.feeds[0]
            timings = benchmark([e for _, e in timed], threads=threads, warmup=5, iterations=60, feeds=feeds)
            for (row, _), timing in zip(timed, timings, strict=True):
                row.setdefault("ms", {})[str(threads)] = round(timing.median_ms, 2)

    def rows_timed_again(self, makers: Iterable[Maker]) -> list[dict[str, Any]]:
        """The stored rows of models that are in the folder, with latencies of now."""
        stored = json.loads((RESULTS / "pretrained.json").read_text())["rows"]
        here = [row for row in stored if row["measured_on"] == processor() and "failed" not in row]
        by = {(row["network"], row["maker"], row["runtime"]): row for row in here}
        timed = [
            (row, Entry(model=self.output(maker), runtime=get_runtime(maker.runtime)))
            for maker in makers
            if (row := by.get((self.network.name, maker.name, maker.runtime))) and self.output(maker).exists()
        ]
        self.time(timed)
        return [row for row, _ in timed]


def answers(model: Path, runtime: str, samples: Samples) -> list[Array]:
    """The first output for each sample."""
    session = tinyint.open(model, runtime=runtime)
    return [next(iter(session.run(feeds).values())) for feeds in samples.feeds]


def compared(values: Array, floats: Array) -> dict[str, Any]:
    """The mean, and whether its difference to float's is chance."""
    values, floats = np.asarray(values), np.asarray(floats)
    decisions = values.dtype == np.bool_
    p = mcnemar(values, floats) if decisions else bootstrap(values - floats)
    return {
        "value": round(float(values.mean()), 5),
        "p_as_float": round(p, 4),
        "worst": None if decisions else round(float(values.min()), 5),
    }


def bootstrap(differences: Array) -> float:
    """Two-sided p of the paired bootstrap of a mean difference."""
    random = np.random.default_rng(0)
    picked = random.integers(0, len(differences), (DRAWS, len(differences)))
    means = differences[picked].mean(axis=1)
    return float(min(1.0, 2 * min((means <= 0).mean(), (means >= 0).mean())))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), help=", ".join(NETWORKS))
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--folder", type=Path, default=Path("pretrained-models"))
    parser.add_argument(
        "--makers", nargs="*", default=["float", "tinyint", "ort", "NNCF"], help="how their names begin"
    )
    parser.add_argument(
        "--settings", nargs="*", default=[], help="recipes beside the default, such as steps=correct_bias"
    )
    parser.add_argument("--race", type=float, help="tinyint once more, with a race of so many seconds")
    parser.add_argument("--times", action="store_true", help="latencies alone, of the models in the folder")
    parser.add_argument("--store", action="store_true")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    chosen = [
        maker for maker in makers(given.settings, given.race) if maker.name.startswith(tuple(given.makers))
    ]
    for name in given.networks:
        bench = Bench.of(NETWORKS[name], given.folder, 1 if given.times else given.samples)
        rows = bench.rows_timed_again(chosen) if given.times else bench.rows(chosen)
        if given.store:
            store("pretrained", rows, ("network", "maker", "runtime", "measured_on"))


if __name__ == "__main__":
    main()
