"""Conversion of the user's model and preprocessing to tinyint's types."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import onnx_ir as ir

from tinyint.graph.io import data_files, load_model, model_bytes, weight_bytes
from tinyint.graph.source import ModelSource, model_label
from tinyint.loading import PaddleFiles, onnx_source

if TYPE_CHECKING:
    from torch import nn

__all__ = ["GivenModel", "Model"]

Model: TypeAlias = "str | Path | PaddleFiles | ir.Model | nn.Module"


@dataclass(frozen=True, kw_only=True)
class GivenModel:
    """Model as given: its graph, ONNX file and path, where it has these."""

    model: ir.Model
    path: Path | None
    given: Path | None = None

    @classmethod
    def of(cls, model: Model) -> GivenModel:
        """Whatever `tinyint.load` takes. Raises ModelError and DependencyError as that does."""
        given = Path(model) if isinstance(model, str | Path) else None
        if isinstance(model, PaddleFiles):
            given = model.program.parent
        found = onnx_source(model)
        if isinstance(found, ir.Model):
            return cls(model=found, path=None, given=given)
        return cls(model=load_model(found), path=Path(found), given=given)

    @property
    def files(self) -> tuple[Path, ...]:
        """All that the model is read from, external data included."""
        return () if self.path is None else (self.path, *data_files(self.model))

    @property
    def runnable(self) -> ModelSource:
        """File or graph for a runtime.

        The file where there is one, so that large weights are read once.
        """
        return self.path or self.model

    @property
    def name(self) -> str:
        return model_label(self.given or self.model)

    def size(self) -> int:
        """Bytes on disk, external data included, also of a model in memory."""
        weights = weight_bytes(self.model)
        if self.path is not None:
            file = self.path.stat().st_size
            return file if file >= weights else file + weights
        serialized = model_bytes(self.model)
        return weights if serialized is None else len(serialized)
