"""Whether a change leaves every quantized model as it was, byte for byte: for changes that shall alter nothing.

    pip install -e ".[test]"
    python benchmarks/same_bytes.py --store before.json      # on the state before
    python benchmarks/same_bytes.py --against before.json    # on the state after

The reference models, small networks of the zoo, the tests' networks and random models are quantized by every method,
for every kind of target, and prepared for training and exported. Both runs belong on one machine: the kernels that
calibrate are those of its processor.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import re
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, sys.path[0] + "/src")  # the state that this script is part of, whatever is installed

import tinyint
from benchmarks.machine import ROOT
from tests import models as networks
from tests.fuzz.models import build
from tests.fuzz.run import task
from tinyint import qat
from tinyint.api import calibrate
from tinyint.errors import TinyintError, TinyintWarning
from tinyint.extras.zoo import entry, export, settle
from tinyint.extras.zoo.images import natural_images
from tinyint.extras.zoo.tokens import TEXT_INPUTS, token_sequences
from tinyint.graph.io import load_model, save_model
from tinyint.graph.serde import to_proto

REFERENCES = sorted(path.stem for path in (ROOT / "benchmarks" / "references" / "models").glob("*.onnx"))
ZOO = (
    "ann_resnet50", "danet_resnet50", "deeplabv3p_resnet50", "dnlnet_resnet50", "emanet_resnet50", "gcnet_resnet50",
    "yolov3_resnet34", "yolov3_resnet50vd_dcn",
)  # fmt: skip
NETWORKS = ("residual", "inception", "depthwise", "detector", "transformer")
RANDOM = 60
SAMPLES, SIDE, TOKENS, VOCABULARY = 4, 64, 48, 512

Feeds = dict[str, np.ndarray]
Parts = dict[str, str]
"""Digests of all that a model consists of, by what it is; of a refusal, its words."""


@dataclass
class Case:
    """A float model and samples for it."""

    path: Path
    samples: list[Feeds]
    module: torch.nn.Module | None = None  # with batch norms, which the file has folded

    @cached_property
    def record(self) -> tinyint.CalibrationRecord:
        return calibrate(self.path, self.samples, run=tinyint.Run(threads=1))


def quantized(case: Case, target: str, recipe: str = "default", *settings: str) -> ir.Model:
    """Without `settings`, from the record that all targets share."""
    static = recipe not in ("dynamic", "weight_only")
    data = case.samples if static and settings else None
    record = case.record if static and not settings else None
    made = tinyint.quantize(
        case.path,
        data,
        target=target,
        calibration=record,
        recipe=tinyint.Recipe.load(recipe).with_settings(settings),
        run=tinyint.Run(threads=1, verify=False),
    )
    return made.model


def exported(case: Case, target: str, export_for: str | None = None, **settings: Any) -> ir.Model:
    """Through training mode once, so that ranges and batch norms have moved, but no weight."""
    inputs = tuple(torch.from_numpy(array) for array in case.samples[0].values())
    module = qat.prepare(
        tinyint.load(case.module or case.path, case.module and inputs),
        case.samples if case.module is None else list(*zip(*(s.values() for s in case.samples), strict=True)),
        target=target,
        settings=qat.QatSettings(**settings),
    )
    module.train()
    with torch.no_grad():
        module(*inputs)
    return qat.export(module.eval(), target=export_for)


WAYS: dict[str, Callable[[Case], ir.Model]] = {
    **{
        f"static {target}": partial(quantized, target=target)
        for target in ("x86-vnni", "x86-avx2", "openvino-vnni", "openvino-avx2", "tensorrt", "arm64")
    },
    "all operators": lambda case: quantized(case, "x86-vnni", "default", "op_types=all", "weights.range=mse"),
    "equalize": lambda case: quantized(
        case, "x86-vnni", "default", "steps=equalize", "weights.granularity=per_tensor"
    ),
    "steps": lambda case: quantized(case, "generic", "default", "steps=[equalize, absorb_bias]"),
    **{
        f"calibration {algorithm}": lambda case, algorithm=algorithm: quantized(
            case, "x86-avx2", "default", f"calibration={algorithm}", "samples=3"
        )
        for algorithm in ("minmax", "kl", "percentile", "moving_average")
    },
    "dynamic": partial(quantized, target="x86-vnni", recipe="dynamic"),
    "dynamic openvino": partial(quantized, target="openvino-vnni", recipe="dynamic"),
    "weight_only": partial(quantized, target="x86-vnni", recipe="weight_only"),
    "weight_only 16": lambda case: quantized(case, "x86-vnni", "weight_only", "weights.bits=16"),
    "qat x86-vnni": partial(exported, target="x86-vnni"),
    "qat x86-avx2 lsq+": partial(exported, target="x86-avx2", weights="lsq", activations="lsq+"),
    "qat openvino-vnni to x86-avx2": partial(exported, target="openvino-vnni", export_for="x86-avx2"),
    "qat tensorrt batch norms": partial(exported, target="tensorrt", batch_norm="trained"),
}


def case_of(name: str, folder: Path) -> Case | None:
    """None for a random model to which nothing was added."""
    kind, _, rest = name.partition(" ")
    path = folder / "float.onnx"
    if kind == "reference":
        path = ROOT / "benchmarks" / "references" / "models" / f"{rest}.onnx"
    elif kind == "zoo":
        module = entry(rest).builder(num_classes=4, width=0.125)
        settle(module, torch.from_numpy(natural_images(4, size=SIDE)))
        export(module, path, size=SIDE)
        return Case(path, samples_for(load_model(path), random=False), module)
    elif kind == "network":
        save_model(getattr(networks, rest)(), path)
    else:
        drawn = build(task(int(rest))[0])
        if drawn is not None:
            path.write_bytes(drawn.model.SerializeToString())
        return drawn and Case(path, drawn.samples)
    return Case(path, samples_for(load_model(path), random=kind == "network"))


def samples_for(model: ir.Model, *, random: bool) -> list[Feeds]:
    if random:
        return networks.noise(model, SAMPLES)
    inputs = {value.name or "": value for value in model.graph.inputs}
    if set(inputs) == set(TEXT_INPUTS):
        arrays = token_sequences(SAMPLES, vocabulary=VOCABULARY, length=TOKENS)
        return [{key: array[i : i + 1] for key, array in arrays.items()} for i in range(SAMPLES)]
    ((name, value),) = inputs.items()
    assert value.shape is not None
    side = value.shape[2] if isinstance(value.shape[2], int) else SIDE
    images = natural_images(SAMPLES, size=side)
    return [{name: images[i : i + 1]} for i in range(SAMPLES)]


def parts_of(model: ir.Model) -> Parts:
    proto = to_proto(model)
    graph = proto.graph
    found = {"bytes": _digest(proto)}
    found |= {f"initializer {tensor.name}": _digest(tensor) for tensor in graph.initializer}
    found |= {f"{node.op_type} {node.name}": _digest(node) for node in graph.node}
    found |= {f"value {info.name}": _digest(info) for info in (*graph.input, *graph.output)}
    found |= {f"metadata {entry.key}": _digest(entry) for entry in proto.metadata_props}
    return found


def _digest(message: Any) -> str:
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()[:16]


def judge(name: str) -> dict[str, Parts]:
    """The parts of what comes of one model, by way."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", TinyintWarning)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        case = case_of(name, Path(folder))
        for way, make in WAYS.items() if case else ():
            try:
                found[f"{name}: {way}"] = parts_of(make(case))
            except TinyintError as error:
                found[f"{name}: {way}"] = {"refused": _anywhere(str(error), folder)}
            except Exception as error:  # a fault, which another change may mend
                found[f"{name}: {way}"] = {"fault": _anywhere(repr(error), folder)}
    return found


def _anywhere(told: str, folder: str) -> str:
    """Wherever this state and its files are."""
    return told.replace(folder, "").replace(str(ROOT), "")


def differences(before: dict[str, Parts], after: dict[str, Parts]) -> Iterator[str]:
    for case in sorted(before.keys() | after.keys()):
        old, new = before.get(case), after.get(case)
        if old == new:
            continue
        if old is None or new is None:
            yield f"{case}: only {'after' if old is None else 'before'}"
            continue
        gone = [part for part in old if part not in new]
        come = [part for part in new if part not in old]
        changed = [part for part in old if part in new and old[part] != new[part] and part != "bytes"]
        told = [
            f"{len(parts)} {what} ({', '.join(parts[:4])})"
            for what, parts in (("changed", changed), ("gone", gone), ("new", come))
            if parts
        ]
        yield f"{case}: {'; '.join(told) or 'the same parts in another order'}"


def main() -> int:
    options = _options()
    names = [
        *(f"network {name}" for name in NETWORKS),
        *(f"reference {name}" for name in REFERENCES),
        *(f"zoo {name}" for name in ZOO),
        *(f"random {seed}" for seed in range(RANDOM)),
    ]
    names = [name for name in names if re.search(options.only, name)]
    made: dict[str, Parts] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=context) as pool:
        for found in pool.map(judge, names):
            made |= found
            print(".", end="", flush=True, file=sys.stderr)
    counts = Counter(
        ("refused" in parts and "refusals") or ("fault" in parts and "faults") or "models"
        for parts in made.values()
    )
    print("\n" + ", ".join(f"{count} {what}" for what, count in counts.items()), file=sys.stderr)
    if options.store:
        options.store.write_text(json.dumps(made, indent=0))
    if not options.against:
        return 0
    before = json.loads(options.against.read_text())
    known = {case: parts for case, parts in before.items() if case.split(":")[0] in names}
    told = list(differences(known, made))
    print("\n".join(told) or "all are the same, byte for byte")
    return 1 if told else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=Path, metavar="FILE", help="keep what was made")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with what was kept")
    parser.add_argument(
        "--only", default="", metavar="PATTERN", help="models whose name matches, e.g. ^network"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
