"""The reference models in int8, by every way to get there, on a test set that no training has seen.

    pip install -e ".[test]" nncf
    python benchmarks/references/measure.py [NAME...] [--folder DIR] [--only HOW]

Float, post-training quantization with each algorithm and for each runtime, QAT and an equally long float training, and
what onnxruntime.quantization and NNCF make of the same file from the same samples. All run over the same test set; each
difference has its p: McNemar's for top-1, the paired bootstrap's for mIoU and AP. Besides those to float, those that
must not be below: of QAT to its control, and of post-training quantization with the default algorithm to each peer's.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from references import CALIBRATION, MODELS, REFERENCES, ROOT, Reference

sys.path.insert(0, str(ROOT / "benchmarks"))
from machine import store
from peers import nncf_openvino, onnxruntime_static

import tinyint
from tinyint.data import input_specs, open_data, saved_preprocessing
from tinyint.graph.io import load_model
from tinyint.runtimes import get_runtime
from tinyint.tasks import task_of
from tinyint.tasks.paired import differences
from tinyint.tasks.score import score
from tinyint.tasks.scoring.scorer import Scorer
from tinyint.train import load_config, qat, train

ALGORITHMS = ("mse", "minmax", "moving_average", "average", "percentile", "kl", "emd", "absmax")
PEER_METHODS = ("MinMax", "Entropy", "Percentile")
Way = tuple[str, str, str]  # maker, how, runtime
Made = tuple[Way, Callable[[], Path]]  # and what makes the file

KEYS = ("reference", "made_by", "how", "runtime", "against")  # which rows are of the same thing
FLOAT: Way = ("float", "as trained", "onnxruntime")
CONTROL: Way = ("float", "control", "onnxruntime")


def post_training(model: Path, reference: Reference, folder: Path) -> Iterator[Made]:
    """By each algorithm, all from one calibration, which is cached; and with the layers in float that should be."""
    for target, runtime in (("x86-vnni", "onnxruntime"), ("openvino", "openvino")):
        for algorithm in ALGORITHMS:
            settings = [f"calibration={algorithm}"]
            path = folder / f"{target}.{algorithm}.onnx"
            make = partial(_quantize, model, reference, path, target, settings)
            yield ("tinyint", f"PTQ {algorithm}", runtime), make
        if reference.float_layers:
            path = folder / f"{target}.partly.onnx"
            make = partial(_quantize, model, reference, path, target, [f'skip=["{reference.float_layers}"]'])
            yield ("tinyint", f"PTQ mse, {reference.float_layers} in float", runtime), make


def _quantize(model: Path, reference: Reference, path: Path, target: str, settings: list[str]) -> Path:
    data = reference.data.train_spec
    tinyint.quantize(
        model,
        tinyint.Samples(data, limit=CALIBRATION),
        output=path,
        target=target,
        recipe=tinyint.Recipe.load("default").with_settings(settings),
        run=tinyint.Run(verify=False),
    )
    return path


def trained(model: Path, reference: Reference, folder: Path) -> Iterator[Made]:
    """QAT, and the same training in float."""
    config = ROOT / "configs" / "made" / f"{reference.data.family}.yaml"
    common = [*reference.overrides(), *reference.tuning()]

    def train_int8(save_dir: Path, *settings: str) -> Path:
        recipe = ", ".join(f"'{setting}'" for setting in (f"samples={CALIBRATION}", *settings))
        changes = ["quantization.target=x86-vnni", f"quantization.set=[{recipe}]", f"save_dir={save_dir}"]
        qat(load_config(config, [*common, *changes]), model, resume=True)
        return save_dir / "best_model" / "model.onnx"

    def train_float() -> Path:
        control = [f"model={{source: {model}}}", f"save_dir={folder / 'control'}"]
        train(load_config(config, [*common, *control]), resume=True)
        return folder / "control" / "best_model" / "model.onnx"

    yield ("tinyint", "QAT", "onnxruntime"), partial(train_int8, folder / "qat")
    if reference.float_layers:
        make = partial(train_int8, folder / "qat-partly", f'skip=["{reference.float_layers}"]')
        yield ("tinyint", f"QAT, {reference.float_layers} in float", "onnxruntime"), make
    yield CONTROL, train_float


def peers(model: Path, reference: Reference, folder: Path) -> Iterator[Made]:
    graph = load_model(model)
    spec, inputs = reference.data.train_spec, input_specs(graph)
    data = open_data(spec, inputs, saved_preprocessing(graph.metadata_props), CALIBRATION)
    samples = [dict(sample.inputs) for sample in data]

    def by_onnxruntime(method: str) -> Path:
        onnxruntime_static(model, folder / f"ort.{method}.onnx", samples, method)
        return folder / f"ort.{method}.onnx"

    def by_nncf() -> Path:
        nncf_openvino(model, folder / "nncf.xml", samples, transformer=reference.data.family == "sentences")
        return folder / "nncf.xml"

    for method in PEER_METHODS:
        yield ("onnxruntime.quantization", f"PTQ {method}", "onnxruntime"), partial(by_onnxruntime, method)
    yield ("nncf", "PTQ", "openvino"), by_nncf


def measure(name: str, reference: Reference, only: Collection[str]) -> None:
    model, folder = MODELS / f"{name}.onnx", Path(f"{name}-int8")
    folder.mkdir(exist_ok=True)
    made: dict[Way, Path] = {FLOAT: model}
    for ways in (post_training, trained, peers):
        for way, make in ways(model, reference, folder):
            if not only or way[1] in only:
                made[way] = make()
    graph = load_model(model)
    info = task_of(graph.metadata_props)
    assert info is not None
    judged = [
        (info.decided(get_runtime(runtime).open(path, threads=1)), info.scorer())
        for (_, _, runtime), path in made.items()
    ]
    specs, preprocessing = input_specs(graph), saved_preprocessing(graph.metadata_props)
    count = score(judged, open_data(reference.data.test_spec, specs, preprocessing))
    scorers = {way: scorer for way, (_, scorer) in zip(made, judged, strict=True)}
    rows = [
        row(name, reference.metric, way, against, scorers, count)
        for way in scorers
        for against in (FLOAT, *_rivals(way, scorers))
    ]
    store("references", rows, KEYS)


def _rivals(way: Way, ways: Iterable[Way]) -> list[Way]:
    """What the way must not be below: for QAT the float control, for PTQ by default each peer on its runtime."""
    if way[0] == "tinyint" and way[1].startswith("QAT"):
        return [other for other in ways if other == CONTROL]
    if way[:2] == ("tinyint", "PTQ mse"):
        return [other for other in ways if other[0] not in ("tinyint", "float") and other[2] == way[2]]
    return []


def row(
    name: str, metric: str, way: Way, against: Way, scorers: Mapping[Way, Scorer], samples: int
) -> dict[str, str | float]:
    found = differences(scorers[way], scorers[against])[metric]
    made_by, how, runtime = way
    value = scorers[way].metrics()[metric]
    print(
        f"{name} {' '.join(way)}: {value:.4f} ({found.value:+.4f} against {against[0]} {against[1]}, p = {found.p:.2f})"
    )
    return {
        "reference": name,
        "made_by": made_by,
        "how": how,
        "runtime": runtime,
        "against": f"{against[0]} {against[1]}",
        "metric": metric,
        "value": value,
        "change": found.value,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "samples": samples,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--folder", type=Path, default=Path("references"))
    parser.add_argument("--only", action="append", default=[], metavar="HOW", help='such as "PTQ mse" or QAT')
    arguments = parser.parse_args()
    os.chdir(arguments.folder)
    for name in arguments.names or REFERENCES:
        REFERENCES[name].data.make(Path())
        measure(name, REFERENCES[name], arguments.only)


if __name__ == "__main__":
    main()
