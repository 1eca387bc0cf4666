"""`tinyint preprocess`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tinyint import api
from tinyint.cli.options import Json, OnError, PreprocessingFile, SampleCount, Skip
from tinyint.cli.screen import Screen
from tinyint.data import Samples
from tinyint.errors import DataError
from tinyint.report.words import counted
from tinyint.runtimes.run import Run

if TYPE_CHECKING:
    from tinyint.cli.documents import PreprocessDocument

__all__ = ["preprocess"]

Images = Annotated[
    str,
    typer.Option(
        "--data",
        "--data-dir",
        metavar="DATA",
        help="Images: a folder of class folders or images, a folder with a list file, a COCO file (.json), or a "
        "Cityscapes root with the split (ROOT:val).",
        show_default=False,
    ),
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="OUT", help="The data file to write.", show_default=False),
]
ListFile = Annotated[
    str | None,
    typer.Option("--list", metavar="LIST", help="The list file of the folder ('path label' lines)."),
]
Size = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="N|HxW",
        help="Height and width of the images; by default what the preprocessing or the model says.",
    ),
]
ForModel = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="Take the preprocessing that this model declares, or the size of its input.",
    ),
]
Dtype = Annotated[
    Literal["uint8", "float32"],
    typer.Option(
        "--dtype",
        help="uint8: pixels, which are scaled when they are read. float32: values as a model takes them.",
    ),
]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, metavar="N", help="Threads; by default one for each core.")
]


def preprocess(
    data: Images,
    output: Output,
    list_file: ListFile = None,
    size: Size = None,
    preprocessing: PreprocessingFile = None,
    model: ForModel = None,
    dtype: Dtype = "uint8",
    samples: SampleCount = None,
    skip: Skip = 0,
    workers: Workers = None,
    on_error: OnError = "stop",
    json: Json = False,
) -> None:
    """Write images, preprocessed, with their labels to one data file.

    The file serves as --data of the other commands, gives the same samples, and is read without decoding anything. A
    run that was interrupted goes on where it stopped.

    Examples:

        tinyint preprocess --data-dir imagenet/ --list val_list.txt --preprocessing imagenet.yaml -o val.bin

        tinyint preprocess --data coco/annotations/instances_val2017.json --model detector.onnx -o coco.bin
    """
    screen = Screen(json)
    with screen.progress() as progress:
        found = api.preprocess(
            Samples(
                data if list_file is None else f"{data}:{list_file}",
                limit=samples,
                skip=skip,
                preprocessing=preprocessing,
                on_error=on_error,
            ),
            output,
            size=None if size is None else _size(size),
            model=model,
            values=dtype,
            workers=workers,
            run=Run(progress=progress),
        )
    screen.note(*found.notices)
    screen.show(_document(found), _words(found))


def _document(found: api.Preprocessed) -> PreprocessDocument:
    return {
        "output": str(found.output),
        "samples": found.samples,
        "dtype": found.shape.values,
        "shape": found.shape.image,
        "labels": found.shape.labels,
        "classes": found.classes,
        "preprocessing": found.preprocessing,
        "size_bytes": found.file_bytes,
        "resumed": found.resumed,
        "skipped": len(found.skipped),
        "notices": found.notices,
    }


def _words(found: api.Preprocessed) -> str:
    shape = "×".join(map(str, found.shape.image))
    held = f"{counted(found.samples, 'sample')} of {found.shape.values} {shape}"
    size, labels = f"{found.file_bytes / 2**20:.1f} MiB", found.shape.labels or "nothing"
    resumed = f", {found.resumed:,} of them from an interrupted run" if found.resumed else ""
    return f"{found.output}: {held}, {size}, labelled with {labels}{resumed}"


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9][0-9]{0,4})(?:[x×,]([1-9][0-9]{0,4}))?", text)
    if found is None:
        raise DataError(f"--size {text!r}: expected a number of pixels, or height and width such as 512x1024")
    height = int(found[1])
    return height, int(found[2] or height)
