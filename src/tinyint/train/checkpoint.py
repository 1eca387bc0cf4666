"""The state of a run on disk: one file, replaced as a whole, so that it is never half-written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from tinyint.errors import ModelError, OutputError
from tinyint.files import atomic_write, sweep

__all__ = ["CHECKPOINT", "Checkpoint", "load_checkpoint", "prepare_directory", "save_checkpoint"]

CHECKPOINT = "checkpoint.pt"
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """All that the rest of a run depends on.

    Order of the data, augmentation, learning rate and random numbers are functions of the seed and of `iteration`, the
    number of iterations done. `identity` says what is trained; `config` is the YAML of the run; `precision` is the
    state of the loss scaling; `best` what the evaluation has found best.
    """

    iteration: int
    identity: str
    config: str
    module: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    precision: Mapping[str, Any]
    best: Mapping[str, Any] | None


def prepare_directory(directory: Path) -> None:
    """Makes the directory, removes what a killed run left half-written, and tries to write. Raises OutputError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the directory '{directory}': {error.strerror}; choose another save_dir"
        ) from None
    sweep(directory / CHECKPOINT)
    with atomic_write(directory / ".writable") as trial:
        trial.touch()
    (directory / ".writable").unlink()


def save_checkpoint(checkpoint: Checkpoint, directory: Path) -> None:
    """Replaces the checkpoint of `directory`. Raises OutputError; the previous one is then still there."""
    state = {field.name: getattr(checkpoint, field.name) for field in fields(checkpoint)} | {
        "format": _FORMAT
    }
    with atomic_write(directory / CHECKPOINT) as temporary:
        torch.save(state, temporary)


def load_checkpoint(directory: Path) -> Checkpoint | None:
    """The checkpoint of `directory`, or None if there is none. Raises ModelError for a damaged or foreign file."""
    path = directory / CHECKPOINT
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of zipfile, pickle or torch, whatever is wrong with the file
        reason = str(error).partition("\n")[0]
        raise ModelError(f"cannot read the checkpoint {path}: {reason}; delete it to start anew") from None
    if not isinstance(state, dict) or state.pop("format", None) != _FORMAT:
        raise ModelError(f"{path} is not a checkpoint of this version of tinyint; delete it to start anew")
    return Checkpoint(**state)
