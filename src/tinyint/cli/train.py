"""`tinyint train`, and how a run that has ended is shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from tinyint.cli.next_steps import after_float
from tinyint.cli.options import Json
from tinyint.cli.run_options import Config, HelpConfig, RunOptions
from tinyint.cli.run_progress import RunProgress, metric_text
from tinyint.cli.screen import Screen
from tinyint.cli.spread import spread
from tinyint.errors import RecipeError, nearest
from tinyint.report.words import counted, percent

if TYPE_CHECKING:
    from tinyint.cli.documents import KeysDocument
    from tinyint.train import Outcome

__all__ = ["show_keys", "show_outcome", "train"]


@spread
def train(
    config: Config = None, *, run: RunOptions, help_config: HelpConfig = None, json: Json = False
) -> None:
    """Train a float model of the zoo, your own, or an ONNX file.

    The best model is kept in DIR/best_model. A run that was stopped goes on with --resume, to the same weights.

    Examples:

        tinyint train -c configs/digits.yaml

        tinyint train -c configs/coco/yolov3_mobilenet_v1.yaml --devices 8

        tinyint train -c configs/digits.yaml --iters 200 -o optimizer.name=adamw --devices 2

        tinyint train --help-config schedule
    """
    screen = Screen(json)
    if help_config is not None:
        show_keys(screen, help_config)
        return
    read = run.read(config)
    from tinyint.train import train as start

    outcome = start(read, resume=run.going_on, watcher=RunProgress())
    show_outcome(screen, outcome, *after_float(config, read, run))


def show_keys(screen: Screen, part: str) -> None:
    """Shows all keys of the config, or those of a part.

    A key or a section. Raises RecipeError for an unknown one.
    """
    from tinyint.train import config_keys

    keys = [key for key in config_keys() if not part or f"{key.name}.".startswith(f"{part}.")]
    if not keys:
        names = [key.name for key in config_keys()]
        raise RecipeError(f"--help-config {part}: there is no such key; {nearest(part, names)}")
    table = Table()
    for column in ("key", "type", "default", "meaning"):
        table.add_column(column, overflow="fold")
    for key in keys:
        table.add_row(*map(escape, (key.name, key.type, key.default, key.meaning)))
    document: KeysDocument = {"keys": keys}
    screen.show(document, table)


def show_outcome(screen: Screen, outcome: Outcome | None, *steps: str) -> None:
    """Shows the end of a run, and the next commands.

    None is that of a process of torchrun's, not the first one.
    """
    if outcome is None:
        return
    model = Path(outcome.best_model) / "model.onnx"
    lines = []
    if outcome.best is not None:
        best = outcome.best
        when = f"after iteration {best.iteration}" if best.iteration else "before the first iteration"
        lines.append(f"best: {metric_text(best)} {when}")
    if outcome.proof is not None:
        proof = outcome.proof
        same = ""
        if proof.same_top1 is not None:
            apart = f" ({counted(proof.ties, 'tie')} apart)" if proof.ties else ""
            same = f"the same top-1 on {percent(proof.same_top1)}{apart}, "
        lines.append(
            f"{proof.runtime} beside the trained module, {counted(proof.samples, 'sample')}: {same}"
            f"{percent(proof.within_1_lsb, 2)} of the output elements within 1 LSB"
        )
    lines.append(f"written: {model}")
    lines += [f"next: {step}" for step in steps]
    screen.show(outcome, *lines)
