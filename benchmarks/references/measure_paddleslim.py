"""What PaddleSlim makes of the reference classifiers, on the same test set; after measure.py, whose files it reads.

    pip install -e ".[test]"
    python benchmarks/references/measure_paddleslim.py PYTHON [NAME...] [--folder DIR]

PYTHON is that of the environment that paddleslim_peer.py describes. tinyint's int8 model, as it is by default for ONNX
Runtime, is held against each.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from measure import FLOAT, KEYS, Way, row
from references import CALIBRATION, MODELS, REFERENCES, ROOT, Reference

sys.path.insert(0, str(ROOT / "benchmarks"))
from machine import store

from tinyint.data import input_specs, open_data, saved_preprocessing
from tinyint.graph.io import load_model
from tinyint.runtimes import get_runtime
from tinyint.tasks.scoring.classification import ClassificationScorer

PEER = Path(__file__).with_name("paddleslim_peer.py")
OURS: Way = ("tinyint", "PTQ mse", "onnxruntime")
CLASSIFIERS = [name for name, reference in REFERENCES.items() if reference.data.family == "glyphs"]


def measure(python: Path, name: str, reference: Reference) -> None:
    model, folder = MODELS / f"{name}.onnx", Path(f"{name}-int8")
    graph = load_model(model)
    specs, declared = input_specs(graph), saved_preprocessing(graph.metadata_props)
    test = list(open_data(reference.data.test_spec, specs, declared))
    arrays = {"calibration": open_data(reference.data.train_spec, specs, declared, CALIBRATION), "test": test}
    for what, samples in arrays.items():
        np.save(folder / f"{what}.npy", np.concatenate([sample.inputs[specs[0].name] for sample in samples]))
    results = folder / "paddleslim"
    results.mkdir(exist_ok=True)
    files = [str(folder / f"{what}.npy") for what in arrays]
    subprocess.run([str(python), str(PEER), str(model), *files, str(results)], check=True)

    scorers = {way: ClassificationScorer() for way in (FLOAT, OURS)}
    for way, file in ((FLOAT, model), (OURS, folder / "x86-vnni.mse.onnx")):
        session = get_runtime("onnxruntime").open(file, threads=1)
        for sample in test:
            scorers[way].add(sample, session.run_transient(sample.inputs))
    theirs: list[Way] = []
    for file in sorted(results.glob("*.npy")):
        theirs.append(("paddleslim", "float" if file.stem == "float" else f"PTQ {file.stem}", "paddle"))
        scorers[theirs[-1]] = ClassificationScorer()
        for sample, logits in zip(test, np.load(file), strict=True):
            scorers[theirs[-1]].add(sample, {"logits": logits[None]})
    pairs = [(way, FLOAT) for way in theirs] + [(OURS, way) for way in theirs if way[1] != "float"]
    store("references", [row(name, reference.metric, *pair, scorers, len(test)) for pair in pairs], KEYS)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("python", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CLASSIFIERS))
    parser.add_argument("--folder", type=Path, default=Path("references"))
    arguments = parser.parse_args()
    python = arguments.python.absolute()
    os.chdir(arguments.folder)
    for name in arguments.names or CLASSIFIERS:
        measure(python, name, REFERENCES[name])


if __name__ == "__main__":
    main()
