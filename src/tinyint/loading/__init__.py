"""Loading of the user's model, in any form, as an ONNX graph."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.io import load_model
from tinyint.graph.message import settled
from tinyint.graph.source import model_label
from tinyint.loading.paddle import PaddleFiles, find_paddle, load_paddle

__all__ = ["MODEL_FILE", "DynamicShapes", "PaddleFiles", "is_module", "load", "onnx_source"]

MODEL_FILE = "model.onnx"
"""File name of the model in the directory that a training writes."""

DynamicShapes = Mapping[str, Mapping[int, str]]
"""Names of open dimensions by input and axis, such as {"image": {0: "batch", 2: "height", 3: "width"}}."""


def load(x: Any, example_inputs: Any = None, *, dynamic_shapes: DynamicShapes | None = None) -> ir.Model:
    """The model as an ONNX graph in memory.

    `x` is one of

    * the path of an ONNX file, or of the best_model/ of a training
    * an `onnx_ir.Model`, which is returned itself, or as a copy if its nodes are out of order or its inputs have
      dimensions of 0 or less
    * a Paddle inference directory, the `.json` or `.pdmodel` file in it, or `PaddleFiles`
    * an `nn.Module`, with `example_inputs`: a tensor, a tuple of the arguments of `forward`, or a mapping of its
      keyword arguments; arrays may replace tensors

    A module is exported in eval mode, and its own mode does not change. Inputs keep their names in `forward`, outputs
    their keys or attribute names, weights their names in `state_dict`. The first axis of the inputs is open if the
    module takes any length; `dynamic_shapes` overrides this, and {} leaves no axis open.

    Raises ModelError for a model that cannot be read, exported or converted, DependencyError if an extra is missing.
    """
    if is_module(x):
        from tinyint.loading.nn_module import load_module  # needs torch

        return load_module(x, example_inputs, dynamic_shapes)
    source = onnx_source(x)
    return source if isinstance(source, ir.Model) else load_model(source)


def onnx_source(x: Any, example_inputs: Any = None) -> str | Path | ir.Model:
    """`x` as runtimes take it: the path of an ONNX file, or a graph.

    A path stays one unless it is Paddle's. Raises as `load` does, but does not check that a file exists and is ONNX.
    """
    if isinstance(x, ir.Model):
        return settled(x, model_label(x))
    if isinstance(x, PaddleFiles):
        return load_paddle(x)
    if isinstance(x, str | Path):
        inside = Path(x) / MODEL_FILE
        if os.path.isfile(inside):
            return inside
        if not os.path.exists(x):
            return x
        files = find_paddle(Path(x))
        return x if files is None else load_paddle(files)
    if is_module(x):
        return load(x, example_inputs)
    raise ModelError(
        f"the model is a {type(x).__name__}; give the path of an ONNX file, of a best_model/ or of a Paddle inference "
        "directory, an ir.Model, or an nn.Module with example inputs"
    )


def is_module(x: object) -> bool:
    """Whether `x` is a torch.nn.Module, without importing torch."""
    return any(
        kind.__module__ == "torch.nn.modules.module" and kind.__name__ == "Module" for kind in type(x).__mro__
    )
