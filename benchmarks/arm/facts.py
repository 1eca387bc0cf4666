"""What targets/arm.py claims, on emulated processors: the tests of its facts, and the formulas of its kernels.

    python benchmarks/arm/facts.py [--processors NEON ...]

`qat.kernels.formulas` foretells the codes of layers, with ties everywhere; ONNX Runtime says there which it gives.
"""

from __future__ import annotations

import argparse
import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx_ir as ir

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the tests' layers
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from arm.userland import FOLDER, PROCESSORS, Processor, Userland
from machine import store

from tests.qat.kernels.test_formulas import CONV, LAYERS, OTHERS, cut, module_of, network, value_of
from tinyint.qat.export import export
from tinyint.qat.qat_module import QatModule

TESTS = ("tests/runtimes/facts/test_arm.py", "tests/runtimes/facts/test_every_operator.py")
SEEDS = 3
ZEROS = ((0, 3), (128, 128), (200, 97))
FAR = {"y": 2.0**-9, "a": 2.0**-16}  # factors of a scale, which take a sum beyond the kernel's multipliers
WEIGHTS = {"w": (8, 8, 1, 1), "b": (8,), "v": (8, 8, 1, 1), "u": (8,)}


def modules() -> Iterator[tuple[str, QatModule, np.random.Generator]]:
    """Every layer of the formulas' tests, for ARM."""
    for seed, zeros in enumerate(ZEROS[:SEEDS]):
        for name, (shape, body, weights) in LAYERS.items():
            generator = np.random.default_rng(seed)
            model = network(shape, f"[layer] {body}", **weights)
            yield name, module_of(model, "arm64", "per_channel", generator, zeros), generator
        for name, text in OTHERS.items():
            generator = np.random.default_rng(seed)
            yield name, other(text, generator, zeros), generator
        for name, factor in FAR.items():
            generator = np.random.default_rng(seed)
            module = other(OTHERS["add"], generator, zeros)
            module.activations[name].scale.mul_(factor)
            yield f"add, scale of {name} far off", module, generator


def other(text: str, generator: np.random.Generator, zeros: tuple[int, int]) -> QatModule:
    weights = {key: WEIGHTS[key] for key in WEIGHTS if f" {key})" in text or f" {key}," in text}
    return module_of(network(CONV, text, **weights), "arm64", "per_channel", generator, zeros)


def write_cases(folder: Path) -> None:
    """Model, input and the codes that the formulas give, of each case."""
    arrays = {}
    for i, (name, module, generator) in enumerate(modules()):
        scale, zero_point = (float(value) for value in module.activations["x"].current())
        shape = tuple(
            dim for dim in module.origin.prepared.graph.inputs[0].shape or () if isinstance(dim, int)
        )
        x = ((generator.integers(0, 256, shape) - zero_point) * scale).astype(np.float32)
        step, zero = (float(value) for value in module.activations["y"].current())
        proto = ir.to_proto(cut(export(module), "y")).SerializeToString()
        arrays[f"{i} {name} model"] = np.frombuffer(proto, np.uint8)
        arrays[f"{i} {name} x"] = x
        arrays[f"{i} {name} codes"] = np.rint(value_of(module, "y", x) / step) + zero
    np.savez(folder / "formulas.npz", **arrays)


def tested(userland: Userland, processor: Processor) -> dict[str, int]:
    """How the tests end there."""
    report = userland.folder / "tests.xml"
    arguments = ["-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}", *TESTS]
    sys.stderr.writelines(userland.lines(processor, arguments))
    suite = ET.parse(report).getroot().find("testsuite")  # noqa: S314
    assert suite is not None
    ended = {key: int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped")}
    return {"passed": ended["tests"] - sum(ended[key] for key in ("failures", "errors", "skipped")), **ended}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--processors", nargs="*", choices=PROCESSORS, default=list(PROCESSORS))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    userland = Userland(options.folder).set_up()
    write_cases(options.folder)
    guest, cases = Path(__file__).with_name("codes.py"), options.folder.resolve() / "formulas.npz"
    for name in options.processors:
        (line,) = userland.lines(PROCESSORS[name], [str(guest), str(cases)])
        row = {
            "processor": name,
            "emulator": userland.emulator(PROCESSORS[name]),
            "formulas": json.loads(line),
        }
        row["tests"] = tested(userland, PROCESSORS[name])
        print(*row.values(), flush=True)
        store("arm_facts", [row], ("processor",))


if __name__ == "__main__":
    main()
