"""Networks on processors with and without VNNI: what runs, beside what was simulated, and which sums are exact.

    python benchmarks/processors.py [efficientnet_lite0 mobilenet_v2 ...] --folder /tmp/processors [--samples 300]

EfficientNet-Lite0 with its ImageNet weights, then the reference models. The runtimes are held to older processors by
`tests.masked`; the sums of planted weights are looked at under `qemu-x86_64 -cpu Haswell` (Debian's qemu-user) as well.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the tests' facts, and the references
sys.path.insert(0, str(Path(__file__).parent / "references"))
from machine import ROOT, store
from pretrained.efficientnet_lite0 import INPUT, crops, export
from references import MODELS, REFERENCES

import tinyint
from tests.masked import FEATURES, environment
from tests.runtimes.facts.planted import KINDS
from tests.runtimes.facts.test_pair_sums import predicted
from tinyint.data import input_specs, open_data, saved_preprocessing
from tinyint.graph.io import load_model
from tinyint.numbers.numerics import sqnr_db
from tinyint.runtimes import get_runtime

Samples = list[dict[str, np.ndarray]]
PRETRAINED = "efficientnet_lite0"
CALIBRATION = 100
SEVEN_BITS = ("weights.bits=7",)
MADE: dict[str, tuple[str, str, Sequence[str]]] = {
    "x86-vnni": ("x86-vnni", "onnxruntime", ()),
    "x86-avx2": ("x86-avx2", "onnxruntime", ()),
    "x86-avx2, 7 bits": ("x86-avx2", "onnxruntime", SEVEN_BITS),
    "dynamic, x86-vnni": ("x86-vnni", "onnxruntime", ("method=dynamic",)),
    "dynamic, x86-avx2": ("x86-avx2", "onnxruntime", ("method=dynamic",)),
    "dynamic, x86-avx2, 7 bits": ("x86-avx2", "onnxruntime", ("method=dynamic", *SEVEN_BITS)),
    "openvino-vnni": ("openvino-vnni", "openvino", ()),
    "openvino-avx2": ("openvino-avx2", "openvino", ()),
    "openvino-avx2, 7 bits": ("openvino-avx2", "openvino", SEVEN_BITS),
}
"""What a row is called: the target, its runtime, and what is set."""
PROCESSORS = {"AVX2": "AVX2", "AVX512": "AVX-512 without VNNI"}


def photographs(folder: Path, samples: int) -> tuple[Path, Samples, Samples]:
    calibration, held_out = crops(CALIBRATION, seed=1), crops(samples, seed=2)
    return (
        export(folder / "float.onnx"),
        [{INPUT: image[None]} for image in calibration],
        [{INPUT: image[None]} for image in held_out],
    )


def reference(name: str, folder: Path, samples: int) -> tuple[Path, Samples, Samples]:
    model = MODELS / f"{name}.onnx"
    data = replace(REFERENCES[name].data, train=max(CALIBRATION, 72), val=36, test=max(samples, 36))
    data.make(folder.parent)
    graph, before = load_model(model), Path.cwd()
    specs, preprocessing = input_specs(graph), saved_preprocessing(graph.metadata_props)
    os.chdir(folder.parent)
    try:
        calibration, held_out = (
            [dict(sample.inputs) for sample in open_data(spec, specs, preprocessing, count)]
            for spec, count in ((data.train_spec, CALIBRATION), (data.test_spec, samples))
        )
    finally:
        os.chdir(before)
    return model, calibration, held_out


def make(folder: Path, model: Path, calibration: Samples, held_out: Samples) -> None:
    """Every file of MADE beside the float model, and what they are asked."""
    if model != folder / "float.onnx":
        shutil.copyfile(model, folder / "float.onnx")
    for name, (target, _, settings) in MADE.items():
        if name.startswith("dynamic") and not _has_matmul(model):
            continue
        given = [*settings] if "method=dynamic" in settings else [f"samples={CALIBRATION}", *settings]
        data = None if "method=dynamic" in settings else calibration
        tinyint.quantize(
            model,
            data,
            target=target,
            output=folder / f"{name}.onnx",
            recipe=tinyint.Recipe.load("default").with_settings(given),
            run=tinyint.Run(verify=False),
        )
    for key in held_out[0]:
        np.save(folder / f"input {key}.npy", np.concatenate([sample[key] for sample in held_out]))


def _has_matmul(model: Path) -> bool:
    return any(node.op_type == "MatMul" for node in onnx.load(model, load_external_data=False).graph.node)


def answer(folder: Path, name: str, runtime: str) -> None:
    """Writes the outputs of all samples, to be compared."""
    simulated = runtime == "simulated"
    opened = get_runtime("onnxruntime" if simulated else runtime)
    session = opened.open(folder / f"{name}.onnx", threads=1, optimize=not simulated)
    inputs = {path.stem.removeprefix("input "): np.load(path) for path in folder.glob("input *.npy")}
    count = len(next(iter(inputs.values())))
    found = [
        session.run({key: value[i : i + 1] for key, value in inputs.items()}).values() for i in range(count)
    ]
    outputs = [np.concatenate(values) for values in zip(*found, strict=True)]
    np.savez(folder / f"outputs {name} {runtime}.npz", *outputs)


def row(network: str, folder: Path, name: str, runtime: str, isa: str | None) -> dict[str, Any]:
    command = [sys.executable, __file__, "--folder", str(folder), "--child", name, runtime]
    env = dict(os.environ) if isa is None else environment(isa)
    subprocess.run(command, env=env, check=True, stderr=subprocess.DEVNULL, cwd=ROOT)
    expected, found = (
        list(np.load(folder / f"outputs {of}.npz").values())
        for of in ("float onnxruntime", f"{name} {runtime}")
    )
    same = None if len(found) > 1 else float((found[0].argmax(1) == expected[0].argmax(1)).mean())
    return {
        "network": network,
        "model": name,
        "runtime": runtime,
        "instructions": PROCESSORS.get(isa or "", "any" if runtime == "simulated" else "all"),
        "samples": len(found[0]),
        "sqnr_db": round(min(sqnr_db(*pair) for pair in zip(expected, found, strict=True)), 2),
        "same_top1": same if same is None else round(same, 4),
    }


def measure(network: str, root: Path, samples: int) -> list[dict[str, Any]]:
    folder = root / network
    folder.mkdir(parents=True, exist_ok=True)
    if network == PRETRAINED:
        make(folder, *photographs(folder, samples))
    else:
        make(folder, *reference(network, folder, samples))
    answer(folder, "float", "onnxruntime")
    rows = []
    for name, (_, runtime, _) in MADE.items():
        if not (folder / f"{name}.onnx").exists():
            continue
        for place, isa in (("simulated", None), (runtime, "AVX2"), (runtime, "AVX512")):
            rows.append(row(network, folder, name, place, isa))
            print(*rows[-1].values(), flush=True)
    return rows


def sums() -> list[dict[str, Any]]:
    """Of planted weights, by `tests.runtimes.facts.planted` in a process that is held to each processor."""
    program = [sys.executable, "-m", "tests.runtimes.facts.planted"]
    places = [
        (runtime, [*program, runtime], environment(isa), PROCESSORS[isa])
        for runtime in ("onnxruntime", "openvino")
        for isa in FEATURES
    ]
    if emulator := shutil.which("qemu-x86_64"):
        told = os.environ | {"TINYINT_CPU_FEATURES": FEATURES["AVX2"]}
        haswell = [emulator, "-cpu", "Haswell", *program, "onnxruntime"]
        places.append(("onnxruntime", haswell, told, "AVX2 (qemu, Haswell)"))
    rows = []
    for runtime, command, env, processor in places:
        done = subprocess.run(command, env=env, check=True, cwd=ROOT, stdout=subprocess.PIPE)
        found = json.loads(done.stdout)
        seen = {name: {tuple(pair) for pair in found[name]["pairs"]} for name in KINDS}
        foreseen = [name for name in KINDS if not seen[name] or seen[name] in predicted(runtime, name)]
        rows.append(
            {
                "runtime": runtime,
                "instructions": processor,
                "kinds": len(KINDS),
                "saturating": sum(bool(pairs) for pairs in seen.values()),
                "as_predicted": len(foreseen),
                "depthwise_pairs": len(found["depthwise conv"]["pairs"]),
                "most_off": max(kind["off"] for kind in found.values()),
            }
        )
        print(*rows[-1].values(), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", default=[PRETRAINED, *REFERENCES])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--child", nargs=2, metavar=("NAME", "RUNTIME"))
    options = parser.parse_args()
    if options.child:
        answer(options.folder, *options.child)
        return
    store("pair_sums", sums(), ("runtime", "instructions"))
    for network in options.networks:
        rows = measure(network, options.folder, options.samples)
        store("processors", rows, ("network", "model", "runtime", "instructions"))


if __name__ == "__main__":
    main()
