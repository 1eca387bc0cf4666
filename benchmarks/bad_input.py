"""Damaged and wrong input of every kind that commands read: how often one ends in anything but a plain message.

    python benchmarks/bad_input.py [CLASS...] [--count 500] [--first SEED] [--show]

Each case is one seeded change to one good input, and one command in a process of its own. A fault is: an exit code that
is not 0, 2 or 3; a traceback; a refusal without "error: " or that leaves files behind; over 20 s, or over 2 GB.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import resource
import shutil
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the tests' networks
from damage import Random, changed_fields, damaged, some, wrong
from machine import store
from typer.testing import CliRunner

from tests.models import depthwise, noise, residual, transformer
from tests.workflows.toys import TOYS
from tinyint.cli.app import app
from tinyint.graph.io import save_model
from tinyint.train.checkpoint import CHECKPOINT

SECONDS, BYTES = 20, 2 << 30
ALLOWED = {0, 2, 3}
Case = tuple[str, ...]

RECIPE = {
    "name": "mine",
    "method": "static",
    "calibration": "mse",
    "samples": 4,
    "skip": ["conv1"],
    "activations": {"bits": 8},
    "weights": {"bits": 8, "granularity": "per_channel"},
    "rules": [{"op_type": "Conv", "activations": {"bits": 8}}],
}
PADDLESLIM = {
    "quant_config": {
        "quantizable_op_type": ["conv2d", "depthwise_conv2d", "mul"],
        "weight_quantize_type": "channel_wise_abs_max",
        "activation_quantize_type": "moving_average_abs_max",
        "algo": "KL",
        "batch_size": 1,
        "batch_nums": 4,
        "is_full_quantize": False,
        "not_quant_pattern": ["conv2"],
    }
}
PREPROCESSING = {
    "resize": 8, "crop": 8, "scale": 0.0039, "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2], "layout": "NCHW",
    "color": "RGB",
}  # fmt: skip


def as_yaml(tree: Any) -> str:
    try:
        return yaml.safe_dump(tree, allow_unicode=True)
    except (UnicodeError, yaml.YAMLError):
        return repr(tree)


# Each writes its input into the working folder, which holds the good ones, and says what to run.

QUANTIZE = ("quantize", "float.onnx", "-o", "out/o.onnx", "--samples", "4", "--threads", "1")
DATA = ("--data", "calib.npy")


def on_model(rng: Random, data: bytes) -> Case:
    Path("bad.onnx").write_bytes(data)
    quantize = ("quantize", "bad.onnx", "-o", "out/o.onnx", "--threads", "1")
    return some(
        rng,
        [
            (*quantize, "--samples", "4", *DATA),
            (*quantize, "--recipe", "weight_only"),
            (*quantize, "--recipe", "dynamic"),
            ("inspect", "bad.onnx"),
            ("bench", "bad.onnx", "--threads", "1"),
            ("compare", "float.onnx", "bad.onnx", *DATA),
        ],
    )


def model_bytes(rng: Random) -> Case:
    return on_model(rng, damaged(rng, some(rng, NETWORKS).read_bytes()))


def model_fields(rng: Random) -> Case:
    return on_model(rng, changed_fields(rng, onnx.load(some(rng, NETWORKS))))


def recipes(rng: Random) -> Case:
    text = as_yaml(wrong(rng, RECIPE))
    Path("recipe.yaml").write_bytes(
        damaged(rng, text.encode(errors="replace"))
        if rng.random() < 0.3
        else text.encode(errors="surrogatepass")
    )
    return (*QUANTIZE, *DATA, "--no-verify", "--recipe", "recipe.yaml")


def paddleslim(rng: Random) -> Case:
    text = (
        as_yaml(wrong(rng, PADDLESLIM))
        if rng.random() < 0.7
        else f"config = {wrong(rng, PADDLESLIM['quant_config'])!r}"
    )
    path = Path("slim.yaml" if rng.random() < 0.7 else "slim.py")
    path.write_bytes(text.encode(errors="surrogatepass"))
    return (*QUANTIZE, *DATA, "--no-verify", "--recipe", str(path))


def preprocessing(rng: Random) -> Case:
    text = as_yaml(wrong(rng, PREPROCESSING)).encode(errors="surrogatepass")
    Path("pre.yaml").write_bytes(damaged(rng, text) if rng.random() < 0.3 else text)
    return (*QUANTIZE, "--data", "images", "--no-verify", "--preprocessing", "pre.yaml")


def records(rng: Random) -> Case:
    data = Path("good.calibration.npz").read_bytes()
    way = rng.random()
    if way < 0.3:
        Path("bad.npz").write_bytes(damaged(rng, data))
    elif way < 0.6:
        held = dict(np.load(io.BytesIO(data)))
        name = some(rng, [key for key, array in held.items() if array.size])
        held[name].reshape(-1)[int(rng.integers(held[name].size))] = some(rng, [0, 1, 77])
        np.savez("bad.npz", **held)
    else:
        with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile("bad.npz", "w") as target:
            name = some(rng, source.namelist())
            for entry in source.namelist():
                content = source.read(entry)
                target.writestr(entry, damaged(rng, content) if entry == name else content)
    return ("quantize", "float.onnx", "-o", "out/o.onnx", "--no-verify", "--calibration", "bad.npz")


def arrays(rng: Random) -> Case:
    x = np.load("calib.npy")
    odd = [
        x.astype(object), x[:0], x[..., :3], x.astype("U8"), x[0], np.full_like(x, np.nan), np.full_like(x, np.inf),
        x.astype(np.complex64), np.asarray(3.0), x.astype(np.float64), x[:1], np.where(x > 2, np.inf, x),
    ]  # fmt: skip
    if rng.random() < 0.5:
        Path("bad.npy").write_bytes(damaged(rng, Path("calib.npy").read_bytes()))
    else:
        np.save("bad.npy", some(rng, odd), allow_pickle=True)
    return (*QUANTIZE, "--data", "bad.npy", "--no-verify")


def images(rng: Random) -> Case:
    files = sorted(Path("images").rglob("*.png"))
    path = some(rng, files)
    path.write_bytes(damaged(rng, path.read_bytes()))
    return (*QUANTIZE, "--data", "images", "--no-verify", "--preprocessing", "pre.yaml")


def options(rng: Random) -> Case:
    values = [
        "-1", "0", "99999999999", "1000", "nan", "", "é", "x" * 300, "1e9", "all", "/dev/zero", "/dev/null", ".",
        "out", "a=b=c", "=", "None", "calib.npy", "float.onnx", "/proc/self/mem", "*", "../..", "~nobody/x",
        "weights.bits=99", "skip=*", "\n", "generic", "dynamic", "2",
    ]  # fmt: skip
    names = [
        "--samples", "--threads", "--batch-size", "--data", "--recipe", "--set", "--target", "--calibration", "-o",
        "--preprocessing", "--on-error", "--provider",
    ]  # fmt: skip
    base = list(
        some(rng, [(*QUANTIZE, *DATA, "--no-verify"), ("calibrate", "float.onnx", *DATA, "-o", "out/r.npz")])
    )
    for _ in range(int(rng.integers(1, 3))):
        base += [some(rng, names), some(rng, values)]
    return tuple(base)


TRAIN = ("train", "-c", "glyphs.yaml", "--save-dir", "run", "-o", "data.val=null", "--resume")


def checkpoints(rng: Random) -> Case:
    path = Path("run") / CHECKPOINT
    if rng.random() < 0.4:
        path.write_bytes(damaged(rng, path.read_bytes()))
    else:
        torch.save(wrong(rng, torch.load(path, weights_only=True)), path)
    return (*TRAIN, "--iters", "2")


def training_configs(rng: Random) -> Case:
    text = as_yaml(wrong(rng, yaml.safe_load(Path("glyphs.yaml").read_text())))
    Path("bad.yaml").write_bytes(text.encode(errors="surrogatepass"))
    return ("train", "-c", "bad.yaml", "--save-dir", "other", "--iters", "1", "-o", "data.val=null")


CLASSES: dict[str, Callable[[Random], Case]] = {
    "ONNX files, bytes changed": model_bytes,
    "ONNX files, fields changed": model_fields,
    "recipes": recipes,
    "PaddleSlim configs": paddleslim,
    "preprocessing": preprocessing,
    "calibration records": records,
    "arrays": arrays,
    "images": images,
    "options": options,
    "checkpoints": checkpoints,
    "training configs": training_configs,
}
NETWORKS: list[Path] = []


def prepare(folder: Path) -> None:
    """Writes what every case starts from."""
    from PIL import Image

    for build in (residual, depthwise, transformer):
        model = build()
        NETWORKS.append(folder / f"{build.__name__}.onnx")
        save_model(model, NETWORKS[-1])
    model = residual()
    good = folder / "good"
    (good / "out").mkdir(parents=True)
    save_model(model, good / "float.onnx")
    np.save(good / "calib.npy", np.concatenate([sample["x"] for sample in noise(model, 6)]))
    shape = model.graph.inputs[0].shape
    channels, side = int(shape[1]), int(shape[2])
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (good / "images" / label).mkdir(parents=True)
        for index in range(3):
            pixels = rng.integers(0, 256, (side, side, channels), np.uint8)
            Image.fromarray(pixels.squeeze()).save(good / "images" / label / f"{index}.png")
    os.chdir(good)
    torch.set_num_threads(1)  # others do not live on in a forked process
    TOYS["glyphs"].write(good)
    given = {"recipe": RECIPE, "slim": PADDLESLIM, "pre": {**PREPROCESSING, "resize": side, "crop": side}}
    for name, tree in given.items():
        Path(f"{name}.yaml").write_text(yaml.safe_dump(tree))
    for command in (  # what is changed later is right before
        ("calibrate", "float.onnx", *DATA, "-o", "good.calibration.npz"),
        (*QUANTIZE, *DATA, "--recipe", "recipe.yaml"),
        (*QUANTIZE, *DATA, "--recipe", "slim.yaml"),
        (*QUANTIZE, "--data", "images", "--preprocessing", "pre.yaml"),
        (*TRAIN, "--iters", "1"),
    ):
        made = CliRunner().invoke(app, list(command))
        assert made.exit_code == 0, made.output
    shutil.rmtree("out")
    Path("out").mkdir()


@dataclass(frozen=True)
class Outcome:
    fault: str  # empty where there is none
    refused: bool
    told: str


def attempt(kind: str, seed: int, good: Path) -> Outcome:
    """One case in a child process: a copy of the folder, a change, a command."""
    with tempfile.TemporaryDirectory() as scratch:
        place, told = Path(scratch) / "w", Path(scratch) / "told"
        shutil.copytree(good, place)
        child = os.fork()
        if child == 0:
            _run(kind, seed, place, told)
        return _judged(child, place, told)


def _run(kind: str, seed: int, place: Path, told: Path) -> None:
    os.chdir(place)
    os.environ["TINYINT_CACHE_DIR"] = str(told.parent / "cache")
    try:
        command = CLASSES[kind](np.random.default_rng(seed))
        (told.parent / "before").write_text("\n".join(sorted(str(p) for p in place.rglob("*"))))
        result = CliRunner().invoke(app, list(command))
        error = f"{result.exception!r}" if result.exit_code == 1 else ""
        told.write_text(json.dumps([" ".join(command), result.exit_code, error, result.output]))
    finally:
        os._exit(0)


def _judged(child: int, place: Path, told: Path) -> Outcome:
    start = time.monotonic()
    while True:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() - start > SECONDS:
            os.kill(child, 9)
            os.waitpid(child, 0)
            return Outcome(f"over {SECONDS} s", False, str(place))
        time.sleep(0.005)
    if status or not told.exists():
        return Outcome(f"the process ended with status {status}", False, "")
    command, code, exception, output = json.loads(told.read_text())
    before = set((told.parent / "before").read_text().split("\n"))
    left = {str(path) for path in place.rglob("*")} - before
    refused = code == 2
    faults = {
        f"exit code {code} {exception}": code not in ALLOWED,
        "a traceback": "Traceback" in output,
        "a refusal without 'error: '": refused and not re.search(r"error: |Usage: ", output),
        f"files left behind: {sorted(left)[:2]}": refused and bool(left),
        "over 2 GB": used.ru_maxrss * 1024 > BYTES,
    }
    fault = "; ".join(name for name, found in faults.items() if found)
    return Outcome(fault, refused, f"{command}\n{output[-600:]}")


def tried(kind: str, seeds: range, good: Path) -> Iterator[tuple[int, Outcome]]:
    for seed in seeds:
        yield seed, attempt(kind, seed, good)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("classes", nargs="*", default=list(CLASSES), metavar="CLASS")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="what each fault said; nothing is stored")
    options_given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        for kind in options_given.classes:
            counts: Counter[str] = Counter()
            refused = 0
            for seed, outcome in tried(
                kind, range(options_given.first, options_given.first + options_given.count), Path.cwd()
            ):
                refused += outcome.refused
                if outcome.fault:
                    counts[outcome.fault] += 1
                    if options_given.show:
                        print(f"--- {kind} {seed}: {outcome.fault}\n{outcome.told}", flush=True)
            rows.append(
                {"class": kind, "tried": options_given.count, "refused": refused, "faults": counts.total()}
            )
            print(*rows[-1].values(), dict(counts), flush=True)
    if not options_given.show:
        store("bad_input", rows, ("class",))


if __name__ == "__main__":
    main()
