"""Initial weights of a network: a classifier's in the backbone, or its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from tinyint.errors import ModelError
from tinyint.extras.zoo.deform_conv import DeformConv2d
from tinyint.loading import MODEL_FILE, load

__all__ = ["start_from"]

_NESTED = ("state_dict", "model")  # under which checkpoints of training scripts hold the weights
_Named = list[tuple[str, Tensor]]


def start_from(module: nn.Module, path: str | Path) -> str:
    """Copies a file's weights into the backbone or module; returns a note.

    Into `module.backbone`, or into the module if it has none.

    `path` is an ONNX file, the best_model/ of a float training, or what `torch.save` wrote of a `state_dict`. Tensors
    go by their order, in which networks of one design agree where their names don't; shapes and the last parts of
    names (weight, running_mean, …) have to agree all along. After those of a backbone the file may hold more. Of a
    whole network the last layer stays new if its shape differs, as it does with other classes; what shifts the taps of
    deformable convolutions, which classifiers have not, always does.

    Raises ModelError for a file that cannot be read or is of another design; the module is as it was then.
    """
    backbone = getattr(module, "backbone", module)
    whole = backbone is module
    drawn = tuple(
        f"{name}.shift." for name, part in backbone.named_modules() if isinstance(part, DeformConv2d)
    )
    own = [entry for entry in _floating(backbone.state_dict()) if not entry[0].startswith(drawn)]
    theirs = _read(Path(path))
    last = own[-1][0].rpartition(".")[0] + "."
    body = sum(not name.startswith(last) for name, _ in own) if whole else len(own)
    copied = body if whole and not _fits(own, theirs, body) else len(own)
    _require_fit(own[:copied], theirs, str(path), "network" if whole else "backbone")
    with torch.no_grad():
        for (_, tensor), (_, weights) in zip(own[:copied], theirs, strict=False):
            tensor.copy_(weights)
    told = f"{copied} tensors of the {'network' if whole else 'backbone'} start from '{path}'"
    return told if copied == len(own) else f"{told}; the last layer, {last[:-1]}, is new"


def _read(path: Path) -> _Named:
    if path.suffix == ".onnx" or os.path.isfile(path / MODEL_FILE):
        held = [(name, value.const_value) for name, value in load(path).graph.initializers.items()]
        arrays = [(name, tensor.numpy()) for name, tensor in held if tensor is not None]
        return [(name, torch.from_numpy(array.copy())) for name, array in arrays if array.dtype.kind == "f"]
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of zipfile, pickle or torch, whatever is wrong with the file
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"model.pretrained: cannot read '{path}': {reason}; expected an ONNX file, the "
            "best_model/ of a float training, or a state_dict saved by torch.save"
        ) from error
    for key in _NESTED:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    named = _floating(found) if isinstance(found, Mapping) else []
    if not named:
        raise ModelError(
            f"model.pretrained: '{path}' holds no weights; expected a state_dict, names with tensors"
        )
    return named


def _floating(state: Mapping[str, object]) -> _Named:
    """The tensors of real numbers, so without the counts of batches that some batch norms keep."""
    return [
        (name, value)
        for name, value in state.items()
        if isinstance(value, Tensor) and value.is_floating_point()
    ]


def _fits(own: Sequence[tuple[str, Tensor]], theirs: _Named, start: int) -> bool:
    return len(own) == len(theirs) and all(
        ours.shape == other.shape for (_, ours), (_, other) in zip(own[start:], theirs[start:], strict=True)
    )


def _require_fit(own: Sequence[tuple[str, Tensor]], theirs: _Named, path: str, what: str) -> None:
    way_out = f"the {what} and the file must be of one design and width, with batch norms as they are trained"
    for place, (name, tensor) in enumerate(own):
        if place == len(theirs):
            raise ModelError(
                f"model.pretrained: '{path}' holds {len(theirs)} tensors, the {what} has {len(own)}; {way_out}"
            )
        other, weights = theirs[place]
        if tensor.shape != weights.shape or name.rpartition(".")[2] != other.rpartition(".")[2]:
            raise ModelError(
                f"model.pretrained: '{path}' does not fit the {what}: its tensor {place + 1} is {other!r} of shape "
                f"{tuple(weights.shape)}, expected {name!r} of shape {tuple(tensor.shape)}; {way_out}"
            )
