"""Conversion of a Paddle inference model to an ONNX graph by paddle2onnx."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass

from tinyint.errors import DependencyError, ModelError
from tinyint.graph.io import load_model
from tinyint.loading.convert_paddle import SCALES, UNKNOWN
from tinyint.loading.paddle_scales import quantize_again

__all__ = ["PaddleFiles", "find_paddle", "load_paddle"]

_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_SUFFIXES = (".json", ".pdmodel")  # Paddle 3, Paddle 2
_OLD = "__model__"  # before Paddle 2
_LISTED = 5


@dataclass(frozen=True)
class PaddleFiles:
    """Program and weights of an inference model.

    The program is NAME.json of Paddle 3, NAME.pdmodel of Paddle 2, or before that a file of any name, such as
    __model__. The weights are a file, or a directory with a file per weight.
    """

    program: Path
    parameters: Path

    def __fspath__(self) -> str:
        return str(self.program)

    __str__ = __fspath__

    @classmethod
    def named(cls, directory: Path, model_filename: str | None, params_filename: str | None) -> PaddleFiles:
        """Files of these names in a directory, as for Paddle's own tools. Raises ModelError.

        Without a name, the program is __model__, and the weights are NAME.pdiparams beside NAME.pdmodel or NAME.json,
        else one file per weight.
        """
        if not directory.is_dir():
            raise ModelError(
                f"'{directory}' is no directory; --model-filename and --params-filename name files in one"
            )
        program = directory / (model_filename or _OLD)
        neighbour = program.with_suffix(".pdiparams")
        default = neighbour if program.suffix in _SUFFIXES and neighbour.is_file() else directory
        parameters = default if params_filename is None else directory / params_filename
        for option, path in (("--model-filename", program), ("--params-filename", parameters)):
            if not path.is_file() and path != directory:
                files = ", ".join(sorted(file.name for file in directory.iterdir())[:_LISTED])
                raise ModelError(
                    f"no such model file: '{path}'; give {option}. In '{directory}' there are: {files}"
                )
        return cls(program, parameters)


def find_paddle(path: Path) -> PaddleFiles | None:
    """Files of a Paddle model, by its directory or program; None for another file.

    Raises ModelError for a directory without exactly one inference model, and for a missing file.
    """
    if os.path.isdir(path):
        path = _only_program(path)
    if path.name == _OLD and path.is_file():
        parameters = path.with_name("__params__")
        return PaddleFiles(path, parameters if parameters.is_file() else path.parent)
    if path.suffix not in _SUFFIXES:
        return None
    if not os.path.isfile(path):
        raise ModelError(f"no such model file: '{path}'")
    if not _has_weights(path):
        raise ModelError(
            f"'{path}' has no weights beside it: expected '{path.with_suffix('.pdiparams')}'; save the model with "
            "paddle.jit.save, or say by --params-filename what they are called"
        )
    return PaddleFiles(path, path.with_suffix(".pdiparams"))


def _only_program(folder: Path) -> Path:
    programs = [
        file for suffix in _SUFFIXES for file in sorted(folder.glob(f"*{suffix}")) if _has_weights(file)
    ]
    stems = {file.stem for file in programs}
    if len(stems) > 1:
        raise ModelError(
            f"'{folder}' holds several Paddle models ({', '.join(sorted(stems))}); give the .json or .pdmodel file "
            "of one"
        )
    program = programs[0] if programs else folder / _OLD
    if not programs and not program.is_file():
        raise ModelError(_why_no_model(folder))
    return program


def _has_weights(program: Path) -> bool:
    return os.path.isfile(program.with_suffix(".pdiparams"))


def _why_no_model(directory: Path) -> str:
    models = sorted(file.name for file in directory.glob("*.onnx"))
    if models:
        return f"'{directory}' is a directory; give the .onnx file in it: {', '.join(models[:_LISTED])}"
    return (
        f"'{directory}' is a directory without a model; expected that of a Paddle inference model, with NAME.json or "
        "NAME.pdmodel and NAME.pdiparams, or __model__ (say by --model-filename and --params-filename what else its "
        "files are called), or the path of an ONNX file"
    )


def load_paddle(files: PaddleFiles) -> ir.Model:
    """Converts a Paddle model; its weights become initializers with Paddle's names.

    Raises DependencyError without the extra `paddle`, and ModelError if the converter refuses the model (with its
    unknown operators) or if weights are missing.
    """
    if find_spec("paddle") is None or find_spec("paddle2onnx") is None:
        raise DependencyError(
            f"reading '{files.program}' needs Paddle's converter; install it: pip install 'tinyint[paddle]'"
        )
    with tempfile.TemporaryDirectory(prefix="tinyint-", ignore_cleanup_errors=True) as directory:
        output = Path(directory) / "model.onnx"
        # A separate process: the converter aborts it at an unknown operator.
        command = [sys.executable, "-P", "-W", "ignore", "-m", "tinyint.loading.convert_paddle"]
        paths = [str(path.resolve()) for path in (files.program, files.parameters, output)]
        done = subprocess.run(
            [*command, *paths], cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            errors="replace",
        )  # fmt: skip
        if not os.path.isfile(output):
            raise ModelError(_why_refused(files.program, done.stdout + done.stderr))
        model = load_model(output)
        scales_file = output.with_name(SCALES)
        scales = json.loads(scales_file.read_text(encoding="utf-8")) if scales_file.exists() else {}
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    _require_weights(model, files)
    if scales:
        quantize_again(model, scales)
    return model


def _why_refused(program: Path, printed: str) -> str:
    """Reason for the converter's failure, from its printed lines."""
    lines = [_COLOUR.sub("", line).strip() for line in printed.splitlines()]
    if any("unsupported operators" in line for line in lines):
        unknown = next((line.removeprefix(UNKNOWN) for line in lines if line.startswith(UNKNOWN)), "")
        return (
            f"'{program}' has operators that paddle2onnx cannot convert: {unknown or 'it does not say which'}"
        )
    marks = ("Failed to convert PaddlePaddle model: ", "Error: ")
    reasons = (line.split(mark, 1)[1] for mark in marks for line in lines if mark in line)
    reason = next((reason for reason in reasons if reason != "In user code:"), "it gives no reason")
    return f"'{program}' cannot be converted by paddle2onnx: {reason.rstrip('.')}"


def _require_weights(model: ir.Model, files: PaddleFiles) -> None:
    """Raises ModelError for missing weights: the converter silently omits those beyond the file's end."""
    sources = {*model.graph.inputs, *model.graph.initializers.values()}
    for node in model.graph.all_nodes():
        for value in node.inputs:
            if (
                value is not None
                and value.producer() is None
                and value.graph is None
                and value not in sources
            ):
                raise ModelError(
                    f"'{files.parameters}' does not hold the weight {value.name!r} of '{files.program}': it is "
                    "truncated or of another model; save or copy it again"
                )
