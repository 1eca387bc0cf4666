"""Write a network as ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn

from tinyint.errors import ModelError
from tinyint.graph.io import atomic_write
from tinyint.zoo.registry import build, entry

__all__ = ["OPSET", "export"]

OPSET = 17


def export(model: str | nn.Module, path: str | Path, *, size: int | None = None, seed: int = 0) -> Path:
    """Write `model`, or the network of that name with the weights of `seed`, to `path`; returns the path.

    Input "input" (batch, C, size, size) float32, output "logits" (batch, classes), the batch free. `size` is the
    height and width of the images: the one that the named network is for, or 224. A module is put in eval mode.

    Raises:
        ModelError: there is no network of that name, or it can't take images of that size.
        OutputError: the file can't be written.
    """
    if isinstance(model, str):
        size = size or entry(model).size
        module = build(model, seed)
    else:
        module = model.eval()
    side = size or 224
    first = _first_convolution(module)
    image = torch.zeros(2, first.in_channels, side, side, device=first.weight.device)
    try:
        with torch.no_grad():
            module(image)
    except RuntimeError as error:
        raise ModelError(f"{type(module).__name__} can't take images of {side}×{side}: {error}") from error
    path = Path(path)
    with atomic_write(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The tracing exporter names each node by its place in the module tree, which scopes in recipes refer to, and
        # keeps GlobalAveragePool and Flatten; the dynamo exporter numbers the nodes and decomposes both.
        torch.onnx.export(
            module,
            (image,),
            temporary,
            dynamo=False,
            opset_version=OPSET,
            input_names=["input"],
            output_names=["logits"],
            dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
        )
    return path


def _first_convolution(module: nn.Module) -> nn.Conv2d:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            return layer
    raise ModelError(
        f"{type(module).__name__} has no convolution, so it takes no images; export it with torch.onnx"
    )
