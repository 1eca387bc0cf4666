"""Commands after a training run, printed ready to run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyint.cli.run_options import RunOptions
    from tinyint.train import TrainingConfig

__all__ = ["after_float", "after_qat"]

_ITS_OWN = ("save_dir", "optimizer.learning_rate")
"""Keys that QAT is given anew; what else the float run was given holds for it, too."""


def after_float(path: Path | None, config: TrainingConfig, run: RunOptions) -> Iterator[str]:
    """Next steps with a float model: quantize it, or train it in int8."""
    best = _best(config)
    skipping = ["--on-error", "skip"] if config.data.on_error == "skip" else []
    output = f"{config.save_dir}.int8.onnx"
    yield _line("quantize", best, "-o", output, "--data", config.data.train, *skipping)
    given = [
        *([] if path is None else ["-c", str(path)]),
        "--model-path",
        best,
        "--save-dir",
        _free(f"{config.save_dir}-qat"),
    ]
    rate = f"{config.optimizer.learning_rate / 10:g}"
    yield _line("qat", *given, "--learning-rate", rate, *run.words(without=_ITS_OWN))


def after_qat(source: str, config: TrainingConfig) -> Iterator[str]:
    """Next steps with an int8 model: compare with float, and export."""
    best = _best(config)
    if config.data.val is not None and config.loss.needs_labels:
        yield _line("evaluate", best, "--data", config.data.val, "--against", source)
    else:
        yield _line("compare", source, best, "--data", config.data.val or config.data.train)
    yield _line("export", best, "-o", f"{config.save_dir}.onnx")


def _best(config: TrainingConfig) -> str:
    from tinyint.train import BEST_MODEL

    return str(Path(config.save_dir) / BEST_MODEL)


def _free(directory: str) -> str:
    """The first of DIR, DIR-2, DIR-3 and so on that is not there."""
    found, count = directory, 1
    while os.path.exists(found):
        count += 1
        found = f"{directory}-{count}"
    return found


def _line(*words: str) -> str:
    return "tinyint " + shlex.join(words)
