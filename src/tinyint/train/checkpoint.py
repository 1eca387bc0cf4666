"""State of a run on disk: one file, replaced as a whole.

So that it is never half-written.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import torch

from tinyint.errors import ModelError, OutputError
from tinyint.files import atomic_write, sweep

__all__ = [
    "CHECKPOINT",
    "Checkpoint",
    "checkpoints_in",
    "load_checkpoint",
    "prepare_directory",
    "save_checkpoint",
]

CHECKPOINT = "checkpoint.pt"
_KEPT = re.compile(r"checkpoint-(\d+)\.pt")
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


_TYPES: dict[object, tuple[type, ...]] = {
    "iteration": (int,),
    "identity": (str,),
    "config": (str,),
    "module": (Mapping,),
    "optimizer": (Mapping,),
    "precision": (Mapping,),
    "best": (Mapping, type(None)),
}


def prepare_directory(directory: Path) -> None:
    """Makes the directory writable, without a killed run's leftovers.

    Raises OutputError.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the directory '{directory}': {error.strerror}; choose another save_dir"
        ) from None
    sweep(directory / CHECKPOINT)
    for left in directory.glob(".checkpoint-*.pt.*"):
        sweep(directory / f"{left.name[1:].partition('.pt.')[0]}.pt")
    with atomic_write(directory / ".writable") as trial:
        trial.touch()
    (directory / ".writable").unlink()


def checkpoints_in(directory: Path) -> list[Path]:
    """Checkpoints of `directory`, latest first, kept ones included."""
    kept = {int(found[1]): path for path in directory.glob("*") if (found := _KEPT.fullmatch(path.name))}
    last = directory / CHECKPOINT
    return [
        *([last] if os.path.exists(last) else []),
        *(kept[number] for number in sorted(kept, reverse=True)),
    ]


def save_checkpoint(checkpoint: Checkpoint, directory: Path, keep: int = 0) -> None:
    """Replaces the checkpoint of `directory`. Raises OutputError; the previous one is then still there.

    With `keep`, so many of the last ones up to this iteration also stay, as checkpoint-ITERATION.pt.
    """
    state = {field.name: getattr(checkpoint, field.name) for field in fields(checkpoint)} | {
        "format": _FORMAT
    }
    with atomic_write(directory / CHECKPOINT) as temporary, temporary.open("wb") as file:
        _save(state, file)
    if not keep:
        return
    with atomic_write(directory / f"checkpoint-{checkpoint.iteration}.pt") as temporary:
        shutil.copyfile(directory / CHECKPOINT, temporary)
    numbered = [
        (int(found[1]), path) for path in directory.glob("*") if (found := _KEPT.fullmatch(path.name))
    ]
    for _, path in sorted(entry for entry in numbered if entry[0] <= checkpoint.iteration)[:-keep]:
        path.unlink(missing_ok=True)


def _save(state: Mapping[str, Any], file: BinaryIO) -> None:
    """`torch.save`, which tells of a full disk as of a fault of its own. Raises OSError."""
    writer: Any = _Writer(file)
    try:
        torch.save(state, writer)
    except RuntimeError:
        if writer.refusal is None:
            raise
        raise writer.refusal from None


class _Writer:
    """A file that keeps in mind why it could not be written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.refusal: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.refusal = error
            raise

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            self.refusal = error
            raise


def load_checkpoint(place: Path) -> Checkpoint | None:
    """Checkpoint in a file or directory, None if there is none.

    Raises ModelError for a damaged or foreign file.
    """
    if not os.path.exists(place):  # first: a training that starts may make the directory meanwhile
        return None
    path = place / CHECKPOINT if os.path.isdir(place) else place
    if not os.path.exists(path):
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of zipfile, pickle or torch, whatever is wrong with the file
        reason = str(error).partition("\n")[0]
        raise ModelError(f"cannot read the checkpoint {path}: {reason}; delete it to start anew") from None
    if not isinstance(state, dict) or state.pop("format", None) != _FORMAT:
        raise ModelError(f"{path} is not a checkpoint of this version of tinyint; delete it to start anew")
    wrong = [
        str(name)
        for name in sorted(_TYPES.keys() | state.keys(), key=str)
        if name not in state or not isinstance(state[name], _TYPES.get(name, ()))
    ]
    if wrong or isinstance(state["iteration"], bool) or state["iteration"] < 0:
        named = ", ".join(wrong) or "iteration"
        raise ModelError(f"the checkpoint {path} is damaged ({named}); delete it to start anew")
    return Checkpoint(**state)
