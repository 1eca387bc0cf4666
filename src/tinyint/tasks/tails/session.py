"""A session whose outputs pass through a tail."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.numbers.numerics import Array
from tinyint.runtimes import Session, get_runtime
from tinyint.runtimes.base import Feeds, Precision, TensorSpec

__all__ = ["TailedSession"]


class TailedSession:
    """`session` with `tail` after it in ONNX Runtime; see `Session`.

    Be it of a file or of a torch module.

    The tail's inputs are outputs of the session by name; its outputs take their place.
    """

    def __init__(self, session: Session, tail: ir.Model, threads: int | None = None) -> None:
        self._session = session
        self._tail = get_runtime("onnxruntime").open(tail, threads=threads)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._session.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        used = {spec.name for spec in self._tail.inputs}
        return (*self._tail.outputs, *(name for name in self._session.outputs if name not in used))

    @property
    def precision(self) -> Precision:
        return self._session.precision

    def run(self, feeds: Feeds) -> dict[str, Array]:
        return self._behind(self._session.run(feeds))

    def run_transient(self, feeds: Feeds) -> dict[str, Array]:
        return self._behind(self._session.run_transient(feeds))

    def _behind(self, outputs: dict[str, Array]) -> dict[str, Array]:
        fed = {spec.name: outputs[spec.name] for spec in self._tail.inputs}
        for name, array in fed.items():  # which suppression would drop without a word
            if array.dtype.kind == "f" and not (array < np.inf).all():
                raise ModelError(
                    f"output {name!r} of the network is NaN or infinite; check the preprocessing"
                )
        return self._tail.run(fed) | {name: array for name, array in outputs.items() if name not in fed}
