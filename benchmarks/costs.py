"""Costs of kernels and conversions on this processor, for placement by cost.

    python benchmarks/costs.py [--rounds 60] [--runtimes onnxruntime openvino] [--store]

Each kind of operator stands once and four times in a row between two convolutions, in float and in int8, at three
sizes; conversions stand side by side. All of these are timed in turn in one process, on one thread, and the fastest
tenth of the calls counts. Their differences make a line: microseconds of a call, and of a thousand multiply-adds (or
elements). `--store` writes the row of this machine's target into src/tinyint/targets/costs.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx import numpy_helper, parser

import tinyint
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime
from tinyint.runtimes.host import host
from tinyint.targets import get_target
from tinyint.targets.target import Target

TABLE = Path(__file__).parents[1] / "src" / "tinyint" / "targets" / "costs.json"
ONCE, OFTEN = 1, 4
SIZES = ((32, 16), (64, 24), (128, 32))
"""Channels, and rows and columns of the image."""
STEPS = {
    "pointwise": "{y} = Conv ({x}, w1)",
    "spatial": "{y} = Conv <pads = [1, 1, 1, 1]> ({x}, w3)",
    "depthwise": "{y} = Conv <group = {c}, pads = [1, 1, 1, 1]> ({x}, wd)",
    "matmul": "{y} = MatMul ({x}, m)",
    "Add": "{y} = Add ({x}, first)",
    "Mul": "{y} = Mul ({x}, first)",
    "Sigmoid": "{y} = Sigmoid ({x})",
    "move": "{y} = MaxPool <kernel_shape = [1, 1]> ({x})",
}


def chain(kind: str, channels: int, side: int, times: int) -> ir.Model:
    """Two 1×1 convolutions, and the operator so many times between them."""
    shape = f"float[1,{side * side},{channels}]" if kind == "matmul" else f"float[1,{channels},{side},{side}]"
    ends = "MatMul ({x}, m)" if kind == "matmul" else "Conv ({x}, w1)"
    lines, last = [f"first = {ends.format(x='x')}"], "first"
    for i in range(times):
        lines.append(STEPS[kind].format(x=last, y=f"y{i}", c=channels))
        last = f"y{i}"
    lines.append(f"y = {ends.format(x=last)}")
    text = f'<ir_version: 8, opset_import: ["": 17]> g ({shape} x) => ({shape} y) {{ {" ".join(lines)} }}'
    proto = parser.parse_model(text)
    random = np.random.default_rng(0)
    weights = {
        "w1": (channels, channels, 1, 1),
        "w3": (channels, channels, 3, 3),
        "wd": (channels, 1, 3, 3),
        "m": (channels, channels),
    }
    read = {name for node in proto.graph.node for name in node.input}
    for name, dims in weights.items():
        fan = dims[0] if name == "m" else int(np.prod(dims[1:]))
        array = random.normal(size=dims, scale=fan**-0.5).astype(np.float32)
        if name in read:
            proto.graph.initializer.append(numpy_helper.from_array(array, name))
    return ir.from_proto(proto)


def conversion(op: str, channels: int, side: int, times: int) -> ir.Model:
    """So many QuantizeLinear or DequantizeLinear side by side, of one tensor."""
    given, made = ("float", "uint8") if op == "QuantizeLinear" else ("uint8", "float")
    shape = f"[1,{channels},{side},{side}]"
    outputs = ", ".join(f"{made}{shape} y{i}" for i in range(times))
    scales = ", ".join(f"float s{i} = {{{0.05 + 0.01 * i}}}" for i in range(times))
    nodes = " ".join(f"y{i} = {op} (x, s{i}, z)" for i in range(times))
    text = (
        f'<ir_version: 8, opset_import: ["": 17]> g ({given}{shape} x) => ({outputs}) '
        f"<{scales}, uint8 z = {{128}}> {{ {nodes} }}"
    )
    return ir.from_proto(parser.parse_model(text))


def int8(model: ir.Model, target: Target) -> ir.Model:
    spec = model.graph.inputs[0]
    random = np.random.default_rng(1)
    samples = [random.normal(size=tuple(spec.shape)).astype(np.float32) for _ in range(2)]  # type: ignore[arg-type]
    recipe = Recipe.load("default").with_settings(["op_types=all", "calibration=minmax"])
    return tinyint.quantize(
        model, samples, target=target.name, recipe=recipe, run=tinyint.Run(verify=False)
    ).model


def work(kind: str, channels: int, side: int) -> int:
    """Multiply-adds, or elements of operators without weights."""
    elements = channels * side * side
    return elements * {
        "pointwise": channels,
        "matmul": channels,
        "spatial": 9 * channels,
        "depthwise": 9,
    }.get(kind, 1)


def timed(models: dict[Any, ir.Model], runtime: str, rounds: int) -> dict[Any, float]:
    """Microseconds of a call: the 10th percentile of calls in turn, as other work makes them slower only."""
    sessions = {key: get_runtime(runtime).open(model, threads=1) for key, model in models.items()}
    random, feeds = np.random.default_rng(2), {}
    for key, session in sessions.items():
        spec = session.inputs[0]
        shape = [dim or 1 for dim in spec.shape]
        feeds[key] = {spec.name: (random.normal(size=shape) * 2).astype(spec.dtype)}
    spent: dict[Any, list[float]] = {key: [] for key in sessions}
    for i in range(rounds + 5):
        for key, session in sessions.items():
            before = time.perf_counter()
            session.run_transient(feeds[key])
            if i >= 5:
                spent[key].append(1e6 * (time.perf_counter() - before))
    return {key: float(np.percentile(values, 10)) for key, values in spent.items()}


def line(works: list[int], microseconds: list[float]) -> dict[str, float]:
    """Line from the smallest size to the larger one that lies lowest, since other work only adds time."""
    (x0, *xs), (y0, *ys) = (np.array(works) / 1000).tolist(), np.maximum(microseconds, 0.1).tolist()
    slopes = [(y - y0) / (x - x0) for x, y in zip(xs, ys, strict=True) if y > y0]
    each = min(slopes, default=y0 / x0)
    fixed = max(0.0, y0 - each * x0)
    return {"fixed": round(fixed, 3), "each": round(each if fixed else y0 / x0, 6)}


def measured(target: Target, rounds: int) -> dict[str, Any]:
    kernels: dict[str, Any] = {}
    for kind in STEPS:
        works, costs = [], {"float": list[float](), "int8": list[float]()}
        for channels, side in SIZES:
            models: dict[Any, ir.Model] = {}
            for times in (ONCE, OFTEN):
                models["float", times] = chain(kind, channels, side, times)
                models["int8", times] = int8(models["float", times], target)
            found = timed(models, target.runtime, rounds)
            works.append(work(kind, channels, side))
            for form, values in costs.items():
                values.append((found[form, OFTEN] - found[form, ONCE]) / (OFTEN - ONCE))
        kernels[kind] = {form: line(works, values) for form, values in costs.items()}
        print(target.name, kind, works, {k: [round(v, 1) for v in c] for k, c in costs.items()}, flush=True)
    conversions = {}
    for op, name in (("QuantizeLinear", "quantize"), ("DequantizeLinear", "dequantize")):
        models = {(size, times): conversion(op, *size, times) for size in SIZES for times in (ONCE, OFTEN)}
        found = timed(models, target.runtime, rounds)
        values = [(found[size, OFTEN] - found[size, ONCE]) / (OFTEN - ONCE) for size in SIZES]
        conversions[name] = line([c * s * s for c, s in SIZES], values)
        print(target.name, name, [round(v, 1) for v in values], flush=True)
    version = get_runtime(target.runtime).available()
    return {
        "runtime": target.runtime,
        "target": target.name,
        "processor": host().model or host().machine,
        "version": version,
        "kernels": kernels,
        **conversions,
    }


def main() -> None:
    parser_ = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser_.add_argument("--rounds", type=int, default=60)
    parser_.add_argument("--runtimes", nargs="*", default=["onnxruntime", "openvino"])
    parser_.add_argument("--store", action="store_true", help="write the figures into the package")
    given = parser_.parse_args()
    own = get_target()
    targets = {"onnxruntime": own, "openvino": get_target("openvino")}
    rows = json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else []
    for runtime in given.runtimes:
        row = measured(targets[runtime], given.rounds)
        rows = [*(other for other in rows if other["target"] != row["target"]), row]
    if given.store:
        TABLE.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
