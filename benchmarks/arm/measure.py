"""The artifacts for ARM, run there: ONNX Runtime for AArch64 under qemu-user, on three kinds of processor.

    python benchmarks/arm/measure.py [mobilenet_v1 ...] [--samples 8] [--quantize] [--processors NEON ...]

All methods' artifacts are made and simulated here, and run there: how far the outputs are from the simulation, which
operators run in int8, and how many instructions a run takes, int8 against float. An emulator says nothing of time.
`--quantize`: tinyint makes them there as well; are the files the same? See `userland` for what it sets up.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from arm.artifacts import make
from arm.files import Files
from arm.networks import NETWORKS, source
from arm.rows import rows
from arm.userland import FOLDER, PROCESSORS, Userland
from machine import store


def made(network: str, folder: Path, samples: int) -> Files:
    files = Files(folder, network)
    make(files, *source(network, folder, samples))
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", default=NETWORKS, help=", ".join(NETWORKS))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--processors", nargs="*", choices=PROCESSORS, default=list(PROCESSORS))
    parser.add_argument("--quantize", action="store_true", help="make the artifacts there, too")
    options = parser.parse_args()
    if unknown := set(options.networks) - set(NETWORKS):
        parser.error(f"no such network: {', '.join(sorted(unknown))}; there are {', '.join(NETWORKS)}")
    options.folder.mkdir(parents=True, exist_ok=True)
    userland = Userland(options.folder).set_up()
    every = [made(name, options.folder.resolve(), options.samples) for name in options.networks]
    for processor in options.processors:
        for row in rows(userland, every, processor, again=options.quantize):
            print(*row.values(), flush=True)
            store("arm", [row], ("network", "processor", "artifact"))


if __name__ == "__main__":
    main()
