"""Runtimes by name; each is imported in its own file only."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from tinyint.errors import DependencyError, nearest
from tinyint.runtimes.base import (
    Executed,
    Feeds,
    Precision,
    Provider,
    Runtime,
    Session,
    TensorSpec,
    check_feeds,
)

__all__ = [
    "RUNTIMES",
    "Executed",
    "Feeds",
    "Precision",
    "Provider",
    "Runtime",
    "Session",
    "TensorSpec",
    "check_feeds",
    "get_runtime",
    "here",
]

RUNTIMES = {
    "onnxruntime": "tinyint.runtimes.ort",
    "openvino": "tinyint.runtimes.openvino",
    "tensorrt": "tinyint.runtimes.tensorrt",
}


def get_runtime(name: str, provider: Provider = "cpu") -> Runtime:
    """Runtime by name, installed or not: its methods raise DependencyError if it is missing.

    `provider`: device of ONNX Runtime; the other runtimes have one only. Raises DependencyError for an unknown name.
    """
    if name not in RUNTIMES:
        raise DependencyError(f"unknown runtime {name!r}; {nearest(name, RUNTIMES)}")
    runtimes = import_module(RUNTIMES[name])
    return cast(Runtime, runtimes.RUNTIME if provider == "cpu" else runtimes.CUDA)


def here(runtime: Runtime) -> Runtime:
    """The runtime if it runs here, else ONNX Runtime.

    ONNX Runtime runs the files of all targets.
    """
    return runtime if runtime.available() else get_runtime("onnxruntime")
