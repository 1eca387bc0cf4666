"""How far int8 differs by chance: the same quantization, with weight scales a little larger, drawn at random.

    python benchmarks/pretrained/chance.py [NETWORK] [--samples 40] [--draws 5]

Each draw makes every scale of weights larger by a factor of its own, up to 1.02, which is as good a quantization as
the first. `float biases` has the weights of the first, and `float constants` rounds activations alone. All of them run
op by op, so that the processor does not matter. Recipes that differ by less than these do differ by chance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pretrained.measure import CALIBRATION, NETWORKS
from pretrained.network import Network

from tinyint.data import Sample
from tinyint.graph.prepare import prepare_float
from tinyint.loading import load
from tinyint.numbers.numerics import Constant
from tinyint.quantization.calibration import calibrate
from tinyint.quantization.plan import Use, plan
from tinyint.quantization.qdq import insert
from tinyint.quantization.qparams import assign_qparams
from tinyint.quantization.recipe import Recipe
from tinyint.quantization.repair import Quantization
from tinyint.runtimes import get_runtime
from tinyint.targets import get_target

_LARGEST = 1.02


def default(network: Network, folder: Path) -> Quantization:
    graph, fingerprint = prepare_float(load(network.export(folder)), network.name)
    samples = [Sample(feeds) for feeds in network.samples(CALIBRATION, 1).feeds]
    record = calibrate(graph, samples, fingerprint=fingerprint)
    planned = plan(graph, get_target("x86-vnni"), Recipe(), record)
    assignment = assign_qparams(graph, planned, record, Recipe().range_method)
    return Quantization(graph=graph, plan=planned, record=record, assignment=assignment)


def variants(state: Quantization, draws: int) -> Iterator[tuple[str, Mapping[Use, Constant]]]:
    """Forms of the constants; in all but the first, biases are in float: their scales go with those of weights."""
    weights = {
        use: constant for use, constant in state.assignment.constants.items() if use in state.plan.constants
    }
    yield "default", state.assignment.constants
    yield "float biases", weights
    yield "float constants", {}
    for draw in range(draws):
        random = np.random.default_rng(draw)
        yield (
            f"draw {draw}",
            {use: _enlarged(each, random.uniform(1, _LARGEST)) for use, each in weights.items()},
        )


def _enlarged(constant: Constant, factor: float) -> Constant:
    scale = (constant.params.scale * np.float32(factor)).astype(np.float32)
    return Constant(params=replace(constant.params, scale=scale))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", nargs="?", default="ppocr_v4_rec", help=", ".join(NETWORKS))
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("pretrained-models"))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    network, runtime = NETWORKS[given.network], get_runtime("onnxruntime")
    state, held_out = default(network, given.folder), network.samples(given.samples, 2)
    session = runtime.open(state.graph)
    expected = [next(iter(session.run(feeds).values())) for feeds in held_out.feeds]
    for name, constants in variants(state, given.draws):
        assignment = replace(state.assignment, constants=constants)
        session = runtime.open(insert(state.graph, state.plan, assignment), optimize=False)
        found = [next(iter(session.run(feeds).values())) for feeds in held_out.feeds]
        signal = sum(float((each.astype(np.float64) ** 2).sum()) for each in expected)
        noise = sum(
            float(((a.astype(np.float64) - b) ** 2).sum()) for a, b in zip(expected, found, strict=True)
        )
        metrics = {
            key: round(float(np.mean(v)), 4) for key, v in network.metrics(held_out, expected, found).items()
        }
        print(f"{name:16s} {10 * np.log10(signal / noise):6.2f} dB  {metrics}", flush=True)


if __name__ == "__main__":
    main()
