"""The artifacts for ARM, run there: ONNX Runtime for AArch64 under qemu-user, on three kinds of processor.

    python benchmarks/arm/measure.py --folder /tmp/arm [mobilenet_v1 ...] [--quantize] [--processors NEON ...]

All methods' artifacts are made and simulated here, and run there: how far the outputs are from the simulation, which
operators run in int8, and how many instructions a run takes, int8 against float. An emulator says nothing of time.
`--quantize`: tinyint makes them there as well; are the files the same? See `userland` for what it sets up.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from arm.artifacts import ARTIFACTS
from arm.files import Feeds, Files
from arm.userland import PROCESSORS, Userland
from machine import store
from models import inputs, model_file
from pretrained.ocr import Classifier

import tinyint
from tinyint.graph.io import load_model, save_model
from tinyint.graph.passes.exact_products import exact_products
from tinyint.graph.source import whole
from tinyint.proof.compared import Compared
from tinyint.runtimes import Executed, get_runtime

NETWORKS = ("ppocr_cls", "mobilenet_v2", "minilm", "mobilenet_v1")
CALIBRATION = 16


def source(network: str, folder: Path, samples: int) -> tuple[Path, list[Feeds], list[Feeds]]:
    """The float model, its calibration samples, and others."""
    if network == Classifier.name:
        classifier = Classifier()
        calibration, others = (
            list(classifier.samples(count, seed).feeds) for count, seed in ((CALIBRATION, 1), (samples, 2))
        )
        return classifier.export(folder), calibration, others
    every = inputs(network, CALIBRATION + samples)
    return model_file(network, folder), every[:CALIBRATION], every[CALIBRATION:]


def make(network: str, folder: Path, samples: int) -> Files:
    """The artifacts, and what their simulation gives."""
    files, ort = Files(folder, network), get_runtime("onnxruntime")
    model, calibration, others = source(network, folder, samples)
    save_model(load_model(model), files.model("float"))
    tinyint.calibrate(files.model("float"), tinyint.Samples(calibration, limit="all")).save(files.record)
    files.write("samples", others)
    for name in ("float", *ARTIFACTS):
        if name != "float":
            save_model(ARTIFACTS[name].made(files).model, files.model(name))
        session = ort.open(exact_products(whole(files.model(name))), optimize=name == "float")
        files.write(name, [session.run(feeds) for feeds in others])
    return files


def distances(files: Files, artifact: str) -> dict[str, Any]:
    """Of the outputs on ARM to the simulation, and of both to float."""
    compared = Compared.of(load_model(files.model(artifact)).graph)
    for outputs in zip(*map(files.read, ("float", f"{artifact} on ARM", artifact)), strict=True):
        compared.add(*outputs)
    (output,) = compared.outputs.values()
    over = compared.over_1_lsb()
    assert over is not None
    return {
        "samples": compared.samples,
        "lsb_max": round(output.deviation_max / output.lsb(), 3),
        "lsb_over_1": round(over, 5),
        "sqnr_db": round(output.noise.sqnr_db, 2),
        "simulated_sqnr_db": round(output.simulated_noise.sqnr_db, 2),
    }


def rows(userland: Userland, every: dict[str, Files], name: str, *, again: bool) -> Iterator[dict[str, Any]]:
    """Of all networks on one processor."""
    folder = next(iter(every.values())).folder
    counts, guest = folder / f"counts {name}", Path(__file__).with_name("guest.py")
    arguments = [str(guest), str(folder), str(counts), *["--quantize"] * again, *every]
    for line in userland.lines(PROCESSORS[name], arguments, counts):
        told = json.loads(line)
        files, artifact = every[told["network"]], told["artifact"]
        executed = [Executed(**node) for node in told.pop("executed")]
        row = {"processor": name, "emulator": userland.emulator(PROCESSORS[name]), **told}
        row["int8_operators"] = dict(Counter(node.op for node in executed if node.int8))
        row["float_operators"] = dict(Counter(node.op for node in executed if not node.int8))
        row |= distances(files, artifact)
        print(*row.values(), flush=True)
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", default=NETWORKS, help=", ".join(NETWORKS))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--processors", nargs="*", choices=PROCESSORS, default=list(PROCESSORS))
    parser.add_argument("--quantize", action="store_true", help="make the artifacts there, too")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    userland = Userland(options.folder / "userland")
    every = {name: make(name, options.folder.resolve(), options.samples) for name in options.networks}
    for processor in options.processors:
        for row in rows(userland, every, processor, again=options.quantize):
            store("arm", [row], ("network", "processor", "artifact"))


if __name__ == "__main__":
    main()
