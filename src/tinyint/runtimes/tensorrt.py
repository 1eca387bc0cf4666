"""TensorRT, run elsewhere: commands of its own tool for engines and timing."""

from __future__ import annotations

import shlex
from pathlib import Path

from tinyint.errors import DependencyError
from tinyint.graph.source import ModelSource, model_label
from tinyint.runtimes.base import Executed, Precision, Session

__all__ = ["RUNTIME", "TensorRTRuntime", "build_commands"]


class TensorRTRuntime:
    """TensorRT as a `runtimes.base.Runtime` that opens nothing.

    Engines are built on the GPU that they are for.
    """

    name = "tensorrt"

    def available(self) -> str | None:
        """None, with or without its package: no engine is run from here."""
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
    ) -> Session:
        """Raises DependencyError, which says how to build and time an engine."""
        del threads, optimize
        raise _elsewhere(model, precision)

    def executed(self, model: ModelSource) -> list[Executed]:
        """Raises DependencyError; `targets.tensorrt_rules` works without a GPU."""
        raise _elsewhere(model, None)


RUNTIME = TensorRTRuntime()


def build_commands(path: str, precision: Precision | None = None) -> dict[str, str]:
    """trtexec commands for an engine of `path`, by TensorRT version.

    11 has no flags of precision (NVIDIA, "Migrating trtexec Usage from TensorRT 10.x to 11.x"): its networks are typed
    by the file, so that int8 is what stands between Q and DQ, and the rest is float32, as it is there. 10 needs the
    flags, and computes the rest in `precision`, float16 if not given.
    """
    flag = {"bfloat16": " --bf16", "float32": ""}.get(precision or "float16", " --fp16")
    engine = str(Path(path).with_suffix(".engine"))
    files = f"--onnx={shlex.quote(path)} --saveEngine={shlex.quote(engine)}"
    return {"TensorRT 10": f"trtexec --int8{flag} {files}", "TensorRT 11": f"trtexec {files}"}


def _elsewhere(model: ModelSource | None, precision: Precision | None) -> DependencyError:
    label = "" if model is None else f"{model_label(model)}: "
    path = str(model) if isinstance(model, str | Path) else "MODEL.onnx"
    told = ", ".join(
        f"`{command}` ({version})" for version, command in build_commands(path, precision).items()
    )
    return DependencyError(
        f"{label}tinyint does not run TensorRT engines itself. On the machine with the GPU: {told}. Here, --runtime "
        "onnxruntime runs the same arithmetic, if slowly"
    )
