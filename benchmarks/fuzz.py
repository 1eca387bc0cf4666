"""Random models through every method and target: what was made of them, and what was wrong.

python benchmarks/fuzz.py --models 20000
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import onnx
import torch
from machine import ROOT, store

sys.path.insert(0, str(ROOT))

from tests.fuzz.models import build
from tests.fuzz.oracle import WAYS, Verdict, Way
from tests.fuzz.run import Task, judged, smaller, task

BLOCK = 250  # models a process, whose memory is given back


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    ways = tuple(
        way for way in WAYS if options.method in (None, way[0]) and way[1].startswith(options.target)
    )
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    seeds = range(options.first, options.first + options.models)
    blocks = [seeds[i : i + BLOCK] for i in range(0, len(seeds), BLOCK)]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as cache, ThreadPoolExecutor(options.jobs) as pool:
        os.environ["TINYINT_CACHE_DIR"] = cache
        for block, verdicts in zip(blocks, pool.map(partial(_judged, ways), blocks), strict=True):
            for seed, (found, verdict) in zip(block, verdicts, strict=True):
                counts[found[1]][verdict.outcome] += 1
                if verdict.fault:
                    _tell(seed, found, verdict, options.minimize)
    seconds = time.perf_counter() - start
    for outcome, count in sum(counts.values(), Counter()).most_common():
        print(f"{count:6} {outcome}")
    print(f"{options.models} models in {seconds:.0f} s")
    if options.store:
        store("fuzz", [_row(way, counts[way]) for way in ways], ("method", "target"))


def _judged(ways: tuple[Way, ...], block: range) -> list[tuple[Task, Verdict]]:
    """In a process of its own, which this thread waits for."""
    return list(judged(task(seed, ways) for seed in block))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first model")
    parser.add_argument("--method", choices=sorted({way[0] for way in WAYS}), help="this one alone")
    parser.add_argument("--target", default="", help="those whose names begin so alone")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--minimize", action="store_true", help="show the smallest model with each fault")
    parser.add_argument(
        "--store", action="store_true", help="keep the counts in benchmarks/results/fuzz.json"
    )
    return parser.parse_args()


def _tell(seed: int, found: Task, verdict: Verdict, minimize: bool) -> None:
    draft, way = found
    print(f"{seed} {'/'.join(way)}: {verdict.fault}: {verdict.told[:300]!r}", flush=True)
    if minimize:
        draft = smaller(draft, way)
        print(draft)
        drawn = build(draft)
        print("" if drawn is None else onnx.printer.to_text(drawn.model)[:3000], flush=True)


def _row(way: tuple[str, str], outcomes: Counter[str]) -> dict[str, object]:
    refused = {
        name.removeprefix("refused: "): n for name, n in outcomes.most_common() if name.startswith("refused")
    }
    told = {name: outcomes[name] for name in ("done", "fault", "invalid", "empty")}
    return {"method": way[0], "target": way[1], "models": outcomes.total(), **told, "refused": refused}


if __name__ == "__main__":
    main()
