"""`tinyint qat`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyint.cli.next_steps import after_qat
from tinyint.cli.options import Json
from tinyint.cli.run_options import Config, HelpConfig, RunOptions
from tinyint.cli.run_progress import RunProgress
from tinyint.cli.screen import Screen
from tinyint.cli.spread import spread
from tinyint.cli.train import show_keys, show_outcome

__all__ = ["qat"]


@spread
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
    *,
    run: RunOptions,
    help_config: HelpConfig = None,
    json: Json = False,
) -> None:
    """Train a float model in simulated int8; keep the best in DIR/best_model.

    The learning rate is a tenth or less of the float training's. With -o loss.teacher=true no labels are needed.

    Examples:

        tinyint qat -c configs/digits.yaml --model-path output/best_model --save-dir output-qat --learning-rate 0.005

        tinyint qat -c configs/digits.yaml --model-path model.onnx --save-dir int8 -o loss.teacher=true

        tinyint qat --model-path model.onnx -o data.train=train/ data.val=val/ --learning-rate 0.001
    """
    screen = Screen(json)
    if help_config is not None:
        show_keys(screen, help_config)
        return
    read = run.read(config, model_path)
    from tinyint.train import qat as start

    outcome = start(read, model_path, resume=run.going_on, watcher=RunProgress())
    show_outcome(screen, outcome, *after_qat(str(model_path or read.model.source), read))
