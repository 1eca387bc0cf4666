"""The options that training commands share."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyint.errors import RecipeError

if TYPE_CHECKING:
    from tinyint.train import TrainingConfig

__all__ = ["Config", "HelpConfig", "RunOptions"]

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="CONFIG", help="The YAML file that describes the run.", show_default=False
    ),
]
HelpConfig = Annotated[
    bool, typer.Option("--help-config", help="List all keys of the config: type, default, meaning.")
]

_ELSEWHERE = {"learning_rate": "optimizer.learning_rate"}


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What the command line changes in a config. An option is the key of its name; None and False leave the key."""

    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--override",
            "-o",
            metavar="KEY=VALUE",
            help="Change any key of the config, such as optimizer.name=adamw. Can be repeated.",
        ),
    ] = None
    iters: Annotated[int | None, typer.Option("--iters", metavar="N", help="Batches to train on.")] = None
    epochs: Annotated[
        int | None, typer.Option("--epochs", metavar="N", help="Instead: how often to train on each sample.")
    ] = None
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", metavar="B", help="Samples in a batch, over all devices.")
    ] = None
    learning_rate: Annotated[
        float | None,
        typer.Option("--learning-rate", metavar="RATE", help="At the peak of the schedule."),
    ] = None
    save_dir: Annotated[
        str | None,
        typer.Option("--save-dir", metavar="DIR", help="Where checkpoint and best_model/ appear."),
    ] = None
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Processes that read data, per device.")
    ] = None
    save_interval: Annotated[
        int | None, typer.Option("--save-interval", metavar="N", help="Iterations between checkpoints.")
    ] = None
    log_interval: Annotated[
        int | None, typer.Option("--log-interval", metavar="N", help="Iterations between lines of progress.")
    ] = None
    eval_interval: Annotated[
        int | None, typer.Option("--eval-interval", metavar="N", help="Iterations between evaluations.")
    ] = None
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Of everything random.")] = None
    devices: Annotated[
        int | None, typer.Option("--devices", metavar="N", help="GPUs, or processes where there is none.")
    ] = None
    precision: Annotated[
        str | None, typer.Option("--precision", metavar="P", help="32, bf16-mixed or 16-mixed.")
    ] = None
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write training curves to DIR/tensorboard.")
    ] = False
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in DIR, if there is one.")
    ] = False

    def read(self, path: Path | None) -> TrainingConfig:
        """The config at `path` with these changes. Raises RecipeError."""
        from tinyint.train import load_config  # needs torch, which most commands do not

        if path is None:
            raise RecipeError("which run? give its config: -c CONFIG; --help-config lists the keys")
        return load_config(path, [*(self.overrides or ()), *self._changes()])

    def _changes(self) -> list[str]:
        named = [field.name for field in fields(self) if field.name not in ("overrides", "resume")]
        given = {name: getattr(self, name) for name in named}
        return [
            f"{_ELSEWHERE.get(name, name)}={json.dumps(value)}"
            for name, value in given.items()
            if value is not None and value is not False
        ]
