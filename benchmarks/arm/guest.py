"""On ARM: what ONNX Runtime makes of the artifacts of some networks, a line of JSON for each.

    python guest.py FOLDER COUNTS [--quantize] NETWORK...

Run by measure.py in the user space of `userland`; the plugin writes to COUNTS what it counts between two marks.
`--quantize`: tinyint makes each artifact there again.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from arm.artifacts import ARTIFACTS, answer_in_layers
from arm.files import Feeds, Files

from tinyint.graph.io import save_model
from tinyint.runtimes import Session, get_runtime

ORT = get_runtime("onnxruntime")
MARK = 1_000_003  # the descriptor that instructions.c knows


def mark() -> None:
    try:
        os.close(MARK)
    except OSError:
        return
    raise AssertionError("a descriptor of this number was open")


def counted(session: Session, feeds: Feeds, counts: Path) -> tuple[Feeds, dict[str, int]]:
    """The outputs, and the instructions that they took, by kind."""
    mark()
    outputs = session.run(feeds)
    mark()
    return outputs, json.loads(counts.read_text().splitlines()[-1])


def row(files: Files, artifact: str, counts: Path, *, again: bool) -> dict[str, Any]:
    """The outputs are written to a file; of instructions, the last sample's count, as the first one allocates."""
    model = files.model(artifact)
    session = ORT.open(model, threads=1)
    found = [counted(session, feeds, counts) for feeds in files.read("samples")]
    files.write(f"{artifact} on ARM", [outputs for outputs, _ in found])
    answer_in_layers(files, artifact, "ARM")
    executed = [dataclasses.asdict(node) for node in ORT.executed(model)]
    made = {"same_file": same_file(files, artifact)} if again and artifact != "float" else {}
    return {"artifact": artifact, "instructions": found[-1][1], "executed": executed, **made}


def same_file(files: Files, artifact: str) -> bool:
    """Whether tinyint writes the same file here."""
    quantized = ARTIFACTS[artifact].made(files)
    with tempfile.TemporaryDirectory() as directory:
        written = Path(directory) / "model.onnx"
        save_model(quantized.model, written)
        return written.read_bytes() == files.model(artifact).read_bytes()


def main() -> None:
    folder, counts, *networks = sys.argv[1:]
    again = "--quantize" in networks
    for network in networks:
        files = Files(Path(folder), network)
        for artifact in files.artifacts() if network != "--quantize" else ():
            found = row(files, artifact, Path(counts), again=again)
            print(json.dumps({"network": network, **found}), flush=True)


if __name__ == "__main__":
    main()
