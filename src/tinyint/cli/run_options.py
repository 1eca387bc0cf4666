"""The options that training commands share."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    str | None,
    typer.Option(
        "--help-config",
        metavar="[KEY]",
        help="List all keys of the config, or those of one section: type, default, meaning.",
        show_default=False,
    ),
]

_ELSEWHERE = {"learning_rate": "optimizer.learning_rate"}


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Command-line changes of a config; None and False leave the key.

    An option is the key of its name.
    """

    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--override",
            "-o",
            metavar="KEY=VALUE",
            help="Change a key of the config, such as optimizer.name=adamw; several may follow. Can be repeated.",
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
        str | None,
        typer.Option(
            "--resume",
            metavar="[CHECKPOINT]",
            help="Go on from the checkpoint in DIR, if there is one, or from another one.",
        ),
    ] = None

    def read(self, path: Path | None, model: Path | None = None) -> TrainingConfig:
        """The config at `path`, or without one of `model`, with these changes. Raises RecipeError."""
        from tinyint.train import load_config, parse_config  # needs torch, which most commands do not

        changes = [*(self.overrides or ()), *self._changes()]
        if path is not None:
            return load_config(path, changes)
        if not self.overrides:
            raise RecipeError("which run? give its config: -c CONFIG; --help-config lists the keys")
        given = {} if model is None else {"model": str(model)}
        return parse_config(given, changes, source="the keys that were given, without -c CONFIG")

    @property
    def going_on(self) -> bool | str:
        """Whether to go on from the checkpoint in DIR, or from which other one."""
        return self.resume is not None if not self.resume else self.resume

    def words(self, without: Collection[str]) -> list[str]:
        """Equivalent words of a command line, without the keys `without`."""
        found = []
        for override in self.overrides or ():
            if override.partition("=")[0].strip() not in without:
                found += ["-o", override]
        for name, value in self._given().items():
            if _ELSEWHERE.get(name, name) not in without:
                found += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
        return found

    def _changes(self) -> list[str]:
        return [f"{_ELSEWHERE.get(name, name)}={json.dumps(value)}" for name, value in self._given().items()]

    def _given(self) -> dict[str, Any]:
        named = [field.name for field in fields(self) if field.name not in ("overrides", "resume")]
        given = {name: getattr(self, name) for name in named}
        return {name: value for name, value in given.items() if value is not None and value is not False}
