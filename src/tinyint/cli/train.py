"""`tinyint train`, and what it shares with `tinyint qat`."""

from __future__ import annotations

import dataclasses
import json as text
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tinyint.cli.options import Json
from tinyint.cli.screen import Screen
from tinyint.errors import RecipeError
from tinyint.report.words import counted, percent

if TYPE_CHECKING:
    from tinyint.train import Evaluation, Outcome, Status, TrainingConfig

__all__ = [
    "BatchSize",
    "Config",
    "Devices",
    "EvalInterval",
    "HelpConfig",
    "Iters",
    "LearningRate",
    "LogInterval",
    "Overrides",
    "Precision",
    "Resume",
    "SaveDir",
    "SaveInterval",
    "Seed",
    "Tensorboard",
    "Terminal",
    "Workers",
    "changes",
    "read_config",
    "show_keys",
    "show_outcome",
    "train",
]

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="CONFIG", help="The YAML file that describes the run.", show_default=False
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--override",
        "-o",
        metavar="KEY=VALUE",
        help="Change any key of the config, such as optimizer.name=adamw. Can be repeated.",
    ),
]
HelpConfig = Annotated[
    bool, typer.Option("--help-config", help="List all keys of the config: type, default, meaning.")
]
Iters = Annotated[int | None, typer.Option("--iters", metavar="N", help="Batches to train on.")]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", metavar="B", help="Samples in a batch, over all devices.")
]
LearningRate = Annotated[
    float | None, typer.Option("--learning-rate", metavar="RATE", help="At the peak of the schedule.")
]
SaveDir = Annotated[
    str | None, typer.Option("--save-dir", metavar="DIR", help="Where checkpoint and best_model/ appear.")
]
Workers = Annotated[
    int | None, typer.Option("--workers", metavar="N", help="Processes that read data, per device.")
]
SaveInterval = Annotated[
    int | None, typer.Option("--save-interval", metavar="N", help="Iterations between checkpoints.")
]
LogInterval = Annotated[
    int | None, typer.Option("--log-interval", metavar="N", help="Iterations between lines of progress.")
]
EvalInterval = Annotated[
    int | None, typer.Option("--eval-interval", metavar="N", help="Iterations between evaluations.")
]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="Of everything random.")]
Devices = Annotated[
    int | None, typer.Option("--devices", metavar="N", help="GPUs, or processes where there is none.")
]
Precision = Annotated[
    str | None, typer.Option("--precision", metavar="P", help="32, bf16-mixed or 16-mixed.")
]
Tensorboard = Annotated[bool, typer.Option("--tensorboard", help="Write training curves to DIR/tensorboard.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in DIR, if there is one.")]


def train(
    config: Config = None,
    overrides: Overrides = None,
    iters: Iters = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    save_dir: SaveDir = None,
    workers: Workers = None,
    save_interval: SaveInterval = None,
    log_interval: LogInterval = None,
    eval_interval: EvalInterval = None,
    seed: Seed = None,
    devices: Devices = None,
    precision: Precision = None,
    tensorboard: Tensorboard = False,
    resume: Resume = False,
    help_config: HelpConfig = False,
    json: Json = False,
) -> None:
    """Train a float model: a network of the zoo, one of your own, or an ONNX file.

    The best model is kept in DIR/best_model. A run that was stopped goes on with --resume, to the same weights.

    Examples:

        tinyint train -c configs/digits.yaml

        tinyint train -c configs/digits.yaml --iters 200 -o optimizer.name=adamw --devices 2

        tinyint train --help-config
    """
    screen = Screen(json)
    if help_config:
        show_keys(screen)
        return
    options = changes(
        iters=iters,
        batch_size=batch_size,
        optimizer__learning_rate=learning_rate,
        save_dir=save_dir,
        workers=workers,
        save_interval=save_interval,
        log_interval=log_interval,
        eval_interval=eval_interval,
        seed=seed,
        devices=devices,
        precision=precision,
        tensorboard=tensorboard or None,
    )
    read = read_config(config, [*(overrides or ()), *options])
    from tinyint.train import train as run

    show_outcome(screen, run(read, resume=resume, watcher=Terminal()))


def changes(**options: Any) -> list[str]:
    """The options that were given, as overrides of the config."""
    return [
        f"{key.replace('__', '.')}={text.dumps(value)}" for key, value in options.items() if value is not None
    ]


def read_config(path: Path | None, overrides: Sequence[str]) -> TrainingConfig:
    """The config with what the command line changes in it. Raises RecipeError."""
    from tinyint.train import load_config  # needs torch, which most commands do not

    if path is None:
        raise RecipeError("which run? give its config: -c CONFIG; --help-config lists the keys")
    return load_config(path, overrides)


def show_keys(screen: Screen) -> None:
    """All keys of the config."""
    from tinyint.train import config_keys

    keys = list(config_keys())
    table = Table()
    for column in ("key", "type", "default", "meaning"):
        table.add_column(column, overflow="fold")
    for key in keys:
        table.add_row(key.name, key.type, key.default, key.meaning)
    screen.show({"keys": [dataclasses.asdict(key) for key in keys]}, table)


def show_outcome(screen: Screen, outcome: Outcome | None) -> None:
    """The end of a run; None is that of a process of torchrun's which is not the first."""
    if outcome is None:
        return
    model = Path(outcome.best_model) / "model.onnx"
    lines = []
    if outcome.best is not None:
        best = outcome.best
        lines.append(f"best: {_value(best)} after iteration {best.iteration}")
    if outcome.proof is not None:
        proof = outcome.proof
        same = "" if proof["same_top1"] is None else f"the same top-1 on {percent(proof['same_top1'])}, "
        lines.append(
            f"{proof['runtime']} beside the trained module, {counted(proof['samples'], 'sample')}: {same}"
            f"{percent(proof['within_1_lsb'], 2)} of the output elements within 1 LSB"
        )
    lines.append(f"written: {model}")
    screen.show(dataclasses.asdict(outcome), *lines)


class Terminal:
    """Shows a run on stderr: a bar on a terminal, lines elsewhere."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: Any = None
        self._metric = ""

    def notice(self, message: str) -> None:
        self._line(f"note: {message}")

    def status(self, status: Status) -> None:
        seen = f"loss {status.loss:.4g} · lr {status.learning_rate:.3g} · {status.samples_per_second:.0f} samples/s"
        left = f"{_clock(status.seconds_left)} left"
        if not sys.stderr.isatty():
            self._line(f"{status.iteration}/{status.iters} · {seen} · {left}")
            return
        if self._bar is None:
            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
            )
            self._bar = Progress(*columns, console=Console(stderr=True, highlight=False), transient=True)
            self._task = self._bar.add_task("", total=status.iters)
            self._bar.start()
        self._bar.update(
            self._task,
            completed=status.iteration,
            description=" · ".join(filter(None, (left, seen, self._metric))),
        )

    def evaluation(self, evaluation: Evaluation) -> None:
        self._metric = _value(evaluation)
        best = " · best so far" if evaluation.best else ""
        self._line(
            f"evaluation after {evaluation.iteration}: loss {evaluation.loss:.4g} · {self._metric}{best}"
        )

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, soft_wrap=True)
        else:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()


def _value(evaluation: Evaluation) -> str:
    if evaluation.metric == "sqnr_db":
        return f"SQNR to the teacher {evaluation.value:.1f} dB"
    return f"{evaluation.metric} {percent(evaluation.value)}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
