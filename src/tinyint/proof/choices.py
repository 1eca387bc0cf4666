"""Choices of runtimes on disk, by all that they depend on.

The directory is bounded: what was used least recently goes first. It never fails an opening; at worst it is of no use.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.files import atomic_write
from tinyint.files.kept import Kept, cache_directory, used
from tinyint.graph.io import model_fingerprint
from tinyint.graph.source import ModelSource, graph_of
from tinyint.proof.choice import Choice, Conditions
from tinyint.runtimes import RUNTIMES, Runtime
from tinyint.runtimes.host import host

__all__ = ["Choices", "choice_key"]

_FORMAT = 1
_NAMES = r"[0-9a-f]{64}\.json"


def choice_key(
    model: ModelSource, runtimes: Sequence[Runtime], conditions: Conditions, preferred: str
) -> str:
    """SHA-256 (hex) of the model, the processor, the runtimes' versions and the conditions.

    Weights in other files count by the size and time of these. Raises ModelError for an unreadable file.
    """
    machine = host()
    example = {name: (str(a.dtype), a.shape) for name, a in (conditions.example or {}).items()}
    facts = (
        _FORMAT,
        _digest(model),
        (machine.model, sorted(machine.features), machine.cores),
        [(runtime.name, runtime.available()) for runtime in runtimes],
        (conditions.threads, conditions.precision, conditions.batch, conditions.batch_size, preferred),
        sorted(example.items()),
        sorted((name, tuple(shape)) for name, shape in conditions.shapes.items()),
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _digest(model: ModelSource) -> object:
    if isinstance(model, ir.Model):
        return model_fingerprint(model)
    if isinstance(model, bytes):
        return hashlib.sha256(model).hexdigest()
    path = Path(model)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        graph = graph_of(path) if path.suffix == ".onnx" else None
        tensors = [] if graph is None else [v.const_value for v in graph.initializers.values()]
        apart = {str(t.location) for t in tensors if isinstance(t, ir.ExternalTensor)}
        facts = [(name, os.stat(path.parent / name)) for name in sorted(apart)]
    except ModelError:
        return digest  # the runtimes will report the fault, or read it all the same
    except OSError as error:
        raise ModelError(f"cannot read '{path}': {error.strerror or error}") from None
    return digest, [(name, status.st_size, status.st_mtime_ns) for name, status in facts]


def _place() -> Path | None:
    cache = cache_directory()
    return None if cache is None else cache / "choices"


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The choices in `directory`, at most `most`; without a directory, none."""

    directory: Path | None = field(default_factory=_place)
    most: int = 256

    def load(self, key: str) -> Choice | None:
        """Choice of the key, marked as used now; None without a readable one."""
        if self.directory is None:
            return None
        path = self.directory / f"{key}.json"
        try:
            found = Choice(**json.loads(path.read_text(encoding="utf-8")))
            milliseconds = {str(name): float(ms) for name, ms in found.milliseconds.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return None
        if found.runtime not in RUNTIMES:
            return None
        used(path)
        return replace(found, milliseconds=milliseconds, remembered=True)

    def store(self, key: str, choice: Choice) -> None:
        """Stores the choice, and removes the least recently used ones beyond the limit.

        Raises OutputError if it cannot.
        """
        with atomic_write(self._kept.made() / f"{key}.json") as scratch:
            scratch.write_text(json.dumps(asdict(choice)), encoding="utf-8")
        self._kept.trim(lambda count, _: count <= self.most)

    @property
    def count(self) -> int:
        """Number of choices."""
        return len(self._kept.files())

    def size(self) -> int:
        """Bytes in use."""
        return sum(size for _, size in self._kept.files())

    def clear(self) -> tuple[int, int]:
        """Removes all; returns numbers of files and bytes removed."""
        return self._kept.clear()

    @property
    def _kept(self) -> Kept:
        return Kept(directory=self.directory, endings=(".json",), temporary=_NAMES)
