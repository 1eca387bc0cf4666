"""TensorRT, on another machine: commands of its tool that build and time engines."""

from __future__ import annotations

import shlex
from pathlib import Path

from tinyint.errors import DependencyError
from tinyint.graph.source import ModelSource, model_label
from tinyint.runtimes.base import Executed, Feeds, LayerTime, Precision, Session

__all__ = ["RUNTIME", "TensorRTRuntime", "build_commands"]


class TensorRTRuntime:
    """TensorRT as a `runtimes.base.Runtime` that opens no model.

    Engines are built on the GPU that they are for.
    """

    name = "tensorrt"
    safe = True

    def available(self) -> str | None:
        """None, even with its package: tinyint runs no engines."""
        return None

    def most_threads(self) -> int | None:
        return None

    def absent(self) -> DependencyError:
        return _elsewhere(None, None)

    def open(
        self,
        model: ModelSource,
        *,
        threads: int | None = None,
        optimize: bool = True,
        precision: Precision | None = None,
        batch: int | None = None,
    ) -> Session:
        """Raises DependencyError with the commands that build and time an engine."""
        del threads, optimize, batch
        raise _elsewhere(model, precision)

    def executed(self, model: ModelSource) -> list[Executed]:
        """Raises DependencyError; `targets.tensorrt_rules` works without a GPU."""
        raise _elsewhere(model, None)

    def profile(
        self,
        model: ModelSource,
        feeds: Feeds,
        *,
        calls: int,
        threads: int | None = None,
        precision: Precision | None = None,
    ) -> list[LayerTime]:
        """Raises DependencyError with the commands that build and time an engine."""
        del feeds, calls, threads
        raise _elsewhere(model, precision)


RUNTIME = TensorRTRuntime()


def build_commands(path: str, precision: Precision | None = None) -> dict[str, str]:
    """trtexec commands that build an engine of `path`, by TensorRT version.

    TensorRT 11 has no flags for precision (NVIDIA, "Migrating trtexec Usage from TensorRT 10.x to 11.x"): types are
    those of the file, so operators between Q and DQ run in int8, and others in float32. TensorRT 10 needs the flags; it
    computes the others in `precision`, by default float16.
    """
    flag = {"bfloat16": " --bf16", "float32": ""}.get(precision or "float16", " --fp16")
    engine = str(Path(path).with_suffix(".engine"))
    files = f"--onnx={shlex.quote(path)} --saveEngine={shlex.quote(engine)}"
    return {"TensorRT 10": f"trtexec --int8{flag} {files}", "TensorRT 11": f"trtexec {files}"}


def _elsewhere(model: ModelSource | None, precision: Precision | None) -> DependencyError:
    label = "" if model is None else f"{model_label(model)}: "
    path = str(model) if isinstance(model, str | Path) else "MODEL.onnx"
    commands = ", ".join(
        f"`{command}` ({version})" for version, command in build_commands(path, precision).items()
    )
    return DependencyError(
        f"{label}tinyint does not run TensorRT engines itself. On the machine with the GPU: {commands}. Here, "
        "--runtime onnxruntime runs the same arithmetic, if slowly"
    )
