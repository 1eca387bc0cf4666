"""How far the reference models in int8 are from float: what the thresholds of the report's verdict rest on.

    pip install -e ".[test]"
    python benchmarks/references/distance.py [NAME...]

Post-training quantization by the default ranges and by `average`, the worst of the algorithms, on 256 samples of the
test set. The detector is also measured with its suppression in the graph, where the rows of its output are boxes. The
tables show the changes of accuracy beside, which measure.py has found for the same ways.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from references import CALIBRATION, MODELS, REFERENCES, ROOT, Data

sys.path.insert(0, str(ROOT / "benchmarks"))
from machine import store

import tinyint
from tinyint import api
from tinyint.data import input_specs, open_data, saved_preprocessing
from tinyint.graph.io import load_model
from tinyint.proof.measured import Sizes
from tinyint.proof.verdict import judge
from tinyint.proof.verify import verify
from tinyint.runtimes import get_runtime
from tinyint.tasks.tails import Suppression

SAMPLES = 256
WAYS = (("x86-vnni", "mse"), ("x86-vnni", "average"), ("openvino", "mse"))


def models(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    yield name, MODELS / f"{name}.onnx"
    if REFERENCES[name].metric == "AP":
        suppressed = folder / f"{name}-nms.onnx"
        api.export(MODELS / f"{name}.onnx", suppressed, nms=Suppression(score_threshold=0.25))
        yield f"{name}, suppressed", suppressed


def measure(called: str, model: Path, data: Data, folder: Path) -> Iterator[dict[str, Any]]:
    graph = load_model(model)
    specs, declared = input_specs(graph), saved_preprocessing(graph.metadata_props)
    for target, algorithm in WAYS:
        path = folder / f"{model.stem}.{target}.{algorithm}.onnx"
        tinyint.quantize(
            model,
            tinyint.Samples(data.train_spec, limit=CALIBRATION),
            output=path,
            target=target,
            recipe=tinyint.Recipe.load("default").with_settings([f"calibration={algorithm}"]),
            run=tinyint.Run(verify=False),
        )
        runtime = get_runtime("openvino" if target == "openvino" else "onnxruntime")
        samples = open_data(data.test_spec, specs, declared, SAMPLES)
        found = verify(model, path, samples, runtime=runtime, held_out=True)
        matched = [
            output.rows_matched for output in found.outputs.values() if output.rows_matched is not None
        ]
        yield {
            "reference": called,
            "how": f"PTQ {algorithm}",
            "runtime": runtime.name,
            "samples": found.samples,
            "sqnr_db": found.sqnr_db,
            "simulated_sqnr_db": found.simulated_sqnr_db,
            "lsb_max": found.lsb_max,
            "top1_agreement": found.top1_agreement,
            "rows_matched": min(matched, default=None),
            "accuracy": judge(found, None, Sizes(baseline=1, int8=1)).accuracy,
        }


def main() -> None:
    folder = Path("distance")
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    for name in sys.argv[1:] or REFERENCES:
        data = replace(REFERENCES[name].data, train=CALIBRATION, val=36, test=SAMPLES)
        data.make(Path())
        for called, model in models(name, Path()):
            store("distance", list(measure(called, model, data, Path())), ("reference", "how", "runtime"))


if __name__ == "__main__":
    main()
