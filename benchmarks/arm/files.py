"""The files of a network that both machines read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["SIGNED", "Feeds", "Files"]

Feeds = dict[str, np.ndarray]
SIGNED = "static, int8 activations"
_NAMES = ("float", "static", SIGNED, "dynamic", "weight_only")


@dataclass(frozen=True)
class Files:
    """The models of a network, its record, its samples, and what each model gave for them."""

    folder: Path
    network: str

    def model(self, artifact: str) -> Path:
        return self.folder / f"{self.network} {artifact}.onnx"

    def artifacts(self) -> list[str]:
        return [name for name in _NAMES if self.model(name).exists()]

    @property
    def record(self) -> Path:
        return self.folder / f"{self.network}.calibration.npz"

    def write(self, what: str, samples: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Arrays by name of each sample."""
        flat = {f"{i} {key}": array for i, arrays in enumerate(samples) for key, array in arrays.items()}
        np.savez(self.folder / f"{self.network} {what}.npz", **flat)

    def read(self, what: str) -> Iterator[Feeds]:
        with np.load(self.folder / f"{self.network} {what}.npz") as stored:
            found: dict[str, Feeds] = {}
            for name in stored.files:
                number, _, key = name.partition(" ")
                found.setdefault(number, {})[key] = stored[name]
        return iter(found.values())
