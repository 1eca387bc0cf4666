"""Choices of runtimes on disk, by all that they depend on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.files.kept_documents import KeptDocuments, kept_place
from tinyint.graph.io import model_fingerprint
from tinyint.graph.source import ModelSource, graph_of
from tinyint.proof.choice import Choice, Conditions
from tinyint.runtimes import RUNTIMES, Runtime
from tinyint.runtimes.host import host

__all__ = ["Choices", "choice_key"]

_FORMAT = 1


def choice_key(
    model: ModelSource, runtimes: Sequence[Runtime], conditions: Conditions, preferred: str
) -> str:
    """SHA-256 (hex) of the model, the processor, the runtimes' versions and the conditions.

    Weights in other files count by the size and time of these. Raises ModelError for an unreadable file.
    """
    example = {name: (str(a.dtype), a.shape) for name, a in (conditions.example or {}).items()}
    facts = (
        _FORMAT,
        _digest(model),
        host().identity,
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


@dataclass(frozen=True, kw_only=True)
class Choices(KeptDocuments):
    """Choices of runtimes that are kept."""

    directory: Path | None = field(default_factory=lambda: kept_place("choices"))

    def load(self, key: str) -> Choice | None:
        """Choice of the key, marked as used now; None without a readable one."""
        try:
            found = Choice(**self.read(key))
            milliseconds = {str(name): float(ms) for name, ms in found.milliseconds.items()}
        except (ValueError, TypeError, AttributeError):
            return None
        if found.runtime not in RUNTIMES:
            return None
        self.mark_used(key)
        return replace(found, milliseconds=milliseconds, remembered=True)

    def store(self, key: str, choice: Choice) -> None:
        """Stores the choice; see `write`."""
        self.write(key, asdict(choice))
