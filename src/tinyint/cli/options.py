"""Options that several commands have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tinyint.data import HowMany
from tinyint.runtimes.run import Run
from tinyint.targets import TARGETS

__all__ = [
    "BatchSize",
    "CalibrationOptions",
    "Data",
    "FoldPreprocessing",
    "Json",
    "Model",
    "NeededData",
    "NoVerify",
    "OnError",
    "PreprocessingFile",
    "Race",
    "RecipeName",
    "Record",
    "Runtime",
    "SampleCount",
    "Settings",
    "Skip",
    "Strict",
    "Target",
    "Task",
    "Threads",
]


def _counted(value: str | None) -> str | None:
    if value is not None and value != "all" and not (value.isascii() and value.isdigit() and int(value) > 0):
        raise typer.BadParameter(f"{value!r} is neither a whole number from 1 nor 'all'")
    return value


@dataclass(frozen=True, kw_only=True)
class CalibrationOptions:
    """Options of calibration; `samples` as it is written."""

    samples: Annotated[
        str | None,
        typer.Option(
            "--samples",
            metavar="N|all",
            help="Calibrate on the first N samples, or on all.",
            callback=_counted,
        ),
    ] = None
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch-size",
            min=1,
            metavar="B",
            help="Samples that calibrate at a time, where the batch is open.",
        ),
    ] = 1
    provider: Annotated[
        Literal["cpu", "cuda"],
        typer.Option("--provider", help="What ONNX Runtime calibrates on; cuda needs onnxruntime-gpu."),
    ] = "cpu"

    @property
    def limit(self) -> HowMany | None:
        """Number of samples; None: as many as the recipe says."""
        return "all" if self.samples == "all" else None if self.samples is None else int(self.samples)

    def run(self, **others: Any) -> Run:
        """The run with these options and `others`."""
        return Run(batch_size=self.batch_size, provider=self.provider, **others)


_DATA = (
    "Samples: a folder of class folders, a folder with a list file ('path label' lines), a COCO file (.json), a "
    "Cityscapes root with the split (ROOT:val), a table of texts (.tsv), an array file (.npy, .npz), a data "
    "file (.bin), or a Python generator package.module:function."
)

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout; progress goes to stderr.")
]
Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="An ONNX file, the best_model/ of a training, or a Paddle inference model.",
        show_default=False,
    ),
]
Data = Annotated[str | None, typer.Option("--data", metavar="DATA", help=_DATA, show_default=False)]
NeededData = Annotated[str, typer.Option("--data", metavar="DATA", help=_DATA, show_default=False)]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, metavar="N", help="Threads of the runtime; all cores by default."),
]
Runtime = Annotated[
    str | None,
    typer.Option(
        "--runtime",
        metavar="NAME",
        help="onnxruntime or openvino; by default the one that the model was quantized for.",
    ),
]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, metavar="B", help="Samples in one call.")]
SampleCount = Annotated[
    int | None, typer.Option("--samples", min=1, metavar="N", help="Use the first N samples.")
]
Skip = Annotated[
    int,
    typer.Option(
        "--skip",
        min=0,
        metavar="N",
        help="Leave out the first N samples, such as those that were calibrated on.",
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="NAME",
        help=f"{', '.join(TARGETS)}; by default what this machine is.",
    ),
]
RecipeName = Annotated[
    str,
    typer.Option(
        "--recipe",
        metavar="NAME|FILE",
        help="A preset (`tinyint recipe show`), a YAML file, or a PaddleSlim config (YAML, or a Python file with one).",
    ),
]
Record = Annotated[
    Path | None,
    typer.Option(
        "--calibration", metavar="RECORD", help="A record of `tinyint calibrate`; needs no data then."
    ),
]
FoldPreprocessing = Annotated[
    bool,
    typer.Option(
        "--fold-preprocessing",
        help="Put the declared preprocessing into the model, which then takes pixels (uint8, NHWC).",
    ),
]
Race = Annotated[
    float | None,
    typer.Option(
        "--race",
        metavar="[SECONDS]",
        help="Time placements of int8 in turn on the runtime, for so many seconds (10), and keep the fastest that is "
        "as accurate.",
    ),
]
FoldResize = Annotated[
    bool,
    typer.Option(
        "--fold-resize",
        help="As --fold-preprocessing, with resize and crop, so that the model takes images of any size.",
    ),
]
NoVerify = Annotated[bool, typer.Option("--no-verify", help="Leave out the proof.")]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Exit with code 3 if the int8 model is doubtful, broken, slower or larger."
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the recipe, such as calibration=kl or 'skip=/head/*'. Can be repeated.",
    ),
]
Task = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="TASK",
        help="classification, detection or segmentation; by default what the model's metadata say.",
    ),
]
OnError = Annotated[
    Literal["stop", "skip"],
    typer.Option(
        "--on-error", help="What to do about a sample that cannot be read: stop, or skip and count it."
    ),
]
PreprocessingFile = Annotated[
    Path | None,
    typer.Option(
        "--preprocessing",
        metavar="FILE",
        help="A YAML file that says how images become inputs (resize, crop, scale, mean, std, layout, color), or texts "
        "(tokenizer, max_length). By default, what the model's metadata say.",
    ),
]
