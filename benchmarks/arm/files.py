"""The files of a network that both machines read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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

    def layers(self, artifact: str) -> Path:
        """The model in layers, of those that have quantizers."""
        return self.model(f"{artifact} in layers")

    def artifacts(self) -> list[str]:
        return [name for name in _NAMES if self.model(name).exists()]

    @property
    def record(self) -> Path:
        return self.folder / f"{self.network}.calibration.npz"

    def write(self, what: str, samples: Iterable[Mapping[str, np.ndarray]]) -> None:
        """Arrays by name of each sample."""
        flat = {f"{i} {key}": array for i, arrays in enumerate(samples) for key, array in arrays.items()}
        np.savez(self._arrays(what), **flat)

    def answered(self, what: str) -> bool:
        return self._arrays(what).exists()

    def read(self, what: str) -> Iterator[Feeds]:
        with np.load(self._arrays(what)) as stored:
            found: dict[str, Feeds] = {}
            for name in stored.files:
                number, _, key = name.partition(" ")
                found.setdefault(number, {})[key] = stored[name]
        return iter(found.values())

    def _arrays(self, what: str) -> Path:
        return self.folder / f"{self.network} {what}.npz"
