"""What the artifacts give and take on an emulated processor, beside their simulation."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from arm.files import Files
from arm.layers import differences
from arm.userland import PROCESSORS, Userland

from tinyint.graph.io import load_model
from tinyint.proof.compared import Compared
from tinyint.runtimes import Executed

__all__ = ["rows"]


def off(files: Files, artifact: str, answers: str) -> tuple[dict[str, float], Compared]:
    """How far the answers are from the simulation, and all that they were compared in."""
    compared = Compared.of(load_model(files.model(artifact)).graph)
    for outputs in zip(*map(files.read, ("float", answers, artifact)), strict=True):
        compared.add(*outputs)
    (output,), over = compared.outputs.values(), compared.over_1_lsb()
    assert over is not None
    return {"lsb_max": round(output.deviation_max / output.lsb(), 3), "lsb_over_1": round(over, 5)}, compared


def distances(files: Files, artifact: str) -> dict[str, Any]:
    """Of the outputs on ARM to the simulation, beside those of x86, and of both to float; and of each layer's codes."""
    found, compared = off(files, artifact, f"{artifact} on ARM")
    (output,) = compared.outputs.values()
    row: dict[str, Any] = {
        "samples": compared.samples,
        **found,
        "sqnr_db": round(output.noise.sqnr_db, 2),
        "simulated_sqnr_db": round(output.simulated_noise.sqnr_db, 2),
    }
    if files.answered(f"{artifact} on x86"):
        row["on_x86"] = off(files, artifact, f"{artifact} on x86")[0]
    layers, on_x86 = (f"{artifact} in layers on {where}" for where in ("ARM", "x86"))
    if files.answered(layers):
        row["in_layers"] = differences(files.read(artifact), files.read(layers))
        if files.answered(on_x86):
            row["in_layers_from_x86"] = differences(files.read(on_x86), files.read(layers))
    return row


def rows(
    userland: Userland, every: Sequence[Files], name: str, *, again: bool = False
) -> Iterator[dict[str, Any]]:
    """Rows of all networks, of the same folder, on one processor."""
    by, folder = {files.network: files for files in every}, every[0].folder
    counts, guest = folder / f"counts {name}", Path(__file__).with_name("guest.py")
    arguments = [str(guest), str(folder), str(counts), *["--quantize"] * again, *by]
    for line in userland.lines(PROCESSORS[name], arguments, counts):
        told = json.loads(line)
        files, artifact = by[told["network"]], told["artifact"]
        executed = [Executed(**node) for node in told.pop("executed")]
        row = {"processor": name, "emulator": userland.emulator(PROCESSORS[name]), **told}
        row["int8_operators"] = dict(Counter(node.op for node in executed if node.int8))
        row["float_operators"] = dict(Counter(node.op for node in executed if not node.int8))
        yield row | distances(files, artifact)
