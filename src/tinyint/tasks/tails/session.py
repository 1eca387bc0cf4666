"""Session with a tail after it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.numbers.numerics import Array
from tinyint.runtimes import Session, get_runtime
from tinyint.runtimes.base import Feeds, Precision, TensorSpec

__all__ = ["TailedSession"]


class TailedSession:
    """Session of any kind with `tail` after it, which runs in ONNX Runtime.

    See `Session`. The tail's inputs are outputs of the session, by name; the tail's outputs replace them.
    """

    def __init__(self, session: Session, tail: ir.Model, threads: int | None = None) -> None:
        self._session = session
        self._tail = get_runtime("onnxruntime").open(tail, threads=threads)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._session.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        inputs = {spec.name for spec in self._tail.inputs}
        return (*self._tail.outputs, *(name for name in self._session.outputs if name not in inputs))

    @property
    def precision(self) -> Precision:
        return self._session.precision

    def run(self, feeds: Feeds) -> dict[str, Array]:
        return self._run_tail(self._session.run(feeds))

    def run_transient(self, feeds: Feeds) -> dict[str, Array]:
        return self._run_tail(self._session.run_transient(feeds))

    def _run_tail(self, outputs: dict[str, Array]) -> dict[str, Array]:
        feeds = {spec.name: outputs[spec.name] for spec in self._tail.inputs}
        for name, array in feeds.items():  # NMS would silently drop such boxes
            if array.dtype.kind == "f" and not (array < np.inf).all():
                raise ModelError(
                    f"output {name!r} of the network is NaN or infinite; check the preprocessing"
                )
        return self._tail.run(feeds) | {name: array for name, array in outputs.items() if name not in feeds}
