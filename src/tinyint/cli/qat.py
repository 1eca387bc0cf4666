"""`tinyint qat`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyint.cli.options import Json
from tinyint.cli.screen import Screen
from tinyint.cli.train import (
    BatchSize,
    Config,
    Devices,
    EvalInterval,
    HelpConfig,
    Iters,
    LearningRate,
    LogInterval,
    Overrides,
    Precision,
    Resume,
    SaveDir,
    SaveInterval,
    Seed,
    Tensorboard,
    Terminal,
    Workers,
    changes,
    read_config,
    show_keys,
    show_outcome,
)

__all__ = ["qat"]


def qat(
    config: Config = None,
    model_path: Annotated[
        Path | None,
        typer.Option(
            "--model-path",
            metavar="BEST",
            help="The float model: an ONNX file, or the best_model/ of `tinyint train`; by default model.source.",
        ),
    ] = None,
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
    """Train a float model on with int8 arithmetic simulated, and keep the best int8 model in DIR/best_model.

    The learning rate is a tenth or less of the float training's. With -o loss.teacher=true no labels are needed.

    Examples:

        tinyint qat -c configs/digits.yaml --model-path output/best_model --save-dir output-qat --learning-rate 0.005

        tinyint qat -c configs/digits.yaml --model-path model.onnx --save-dir int8 -o loss.teacher=true
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
    from tinyint.train import qat as run

    show_outcome(screen, run(read, model_path, resume=resume, watcher=Terminal()))
