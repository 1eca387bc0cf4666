"""Runtimes by name, each imported in its own file only."""

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
    """Runtime called `name`, installed or not.

    That shows when it is used. Raises DependencyError if unknown.

    `provider`: what ONNX Runtime runs on; the others have no choice.
    """
    if name not in RUNTIMES:
        raise DependencyError(f"unknown runtime {name!r}; {nearest(name, RUNTIMES)}")
    runtimes = import_module(RUNTIMES[name])
    return cast(Runtime, runtimes.RUNTIME if provider == "cpu" else runtimes.CUDA)


def here(runtime: Runtime) -> Runtime:
    """Runtime if it runs here, else ONNX Runtime.

    It runs the file of every target.
    """
    return runtime if runtime.available() else get_runtime("onnxruntime")
