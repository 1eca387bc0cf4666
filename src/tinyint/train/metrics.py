"""metrics.json beside the best model, for people and resumed runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from tinyint.errors import ModelError
from tinyint.files import atomic_write
from tinyint.proof.agreement import Agreement

__all__ = ["has_metrics", "save_metrics", "saved_proof"]

_FILE = "metrics.json"


class _Metrics(BaseModel):
    model_config = ConfigDict(extra="allow")

    proof: Agreement | None = None


def has_metrics(directory: Path) -> bool:
    return (directory / _FILE).exists()


def save_metrics(directory: Path, metrics: Mapping[str, float | int | None], proof: Agreement | None) -> None:
    document = dict(metrics) if proof is None else {**metrics, "proof": asdict(proof)}
    with atomic_write(directory / _FILE) as temporary:
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def saved_proof(directory: Path) -> Agreement | None:
    """Proof of the best model from an earlier process.

    Raises ModelError for a damaged file.
    """
    path = directory / _FILE
    try:
        return _Metrics.model_validate_json(path.read_bytes()).proof
    except (OSError, ValidationError) as error:
        raise ModelError(
            f"cannot read what an earlier run wrote of its best model, '{path}': {_reason(error)}; delete it, and the "
            "model is evaluated anew"
        ) from None


def _reason(error: OSError | ValidationError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    first = error.errors(include_url=False)[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
