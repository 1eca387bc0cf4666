"""The instrumented model in sessions, and what its runs tell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import onnx_ir as ir

from tinyint.data import Sample
from tinyint.data.sample import stack
from tinyint.errors import ModelError
from tinyint.graph.flow import observed
from tinyint.graph.names import name_of
from tinyint.graph.passes.shapes import ShapesOf
from tinyint.numbers.numerics import Array
from tinyint.quantization.calibration.channelwise import ChannelProbe
from tinyint.quantization.calibration.instrument import Instrumented, Observation, assumed_shapes, instrument
from tinyint.quantization.calibration.statistics import Request
from tinyint.runtimes import Provider, get_runtime
from tinyint.runtimes.base import Feeds, Session

__all__ = ["ObservedModel", "Seen"]

_Inputs: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
_KNOWN_SHAPES = 64


@dataclass(frozen=True)
class Seen:
    """Outputs of one run. `sizes`: elements of tensors, for one sample."""

    instrumented: Instrumented
    found: Mapping[str, Array]
    sizes: Mapping[str, int]

    def read(self, rows: int) -> list[list[Observation]]:
        """Observations of `rows` samples, tensor by tensor."""
        return self.instrumented.read(self.found, self.sizes, rows)

    def overflowing(self, rows: int) -> set[str]:
        """Tensors that hold infinities, and are not observed without them yet."""
        return self.instrumented.overflowing(self.found, self.sizes, rows)

    def statistic(self, probe: ChannelProbe, row: int) -> tuple[list[Array], int]:
        """Parts of a statistic for one sample, and the elements of a channel."""
        return probe.read(self.found, row), probe.elements(self.found)


class ObservedModel:
    """Instrumented model, made anew when a tensor turns out to hold infinities.

    Twice, where some samples make empty tensors: those are observed by a graph that takes nothing for granted, and is
    slower.
    """

    def __init__(
        self,
        model: ir.Model,
        needs: AbstractSet[Request],
        threads: int | None,
        provider: Provider,
        *,
        by_sample: bool,
    ) -> None:
        self._model, self._needs, self._by_sample = model, needs, by_sample
        self._threads, self._provider = threads, provider
        self._infinite: set[str] = set()
        self._opened: dict[bool, tuple[Instrumented, Session]] = {}
        self._shapes = ShapesOf(model)
        self._assumed = assumed_shapes(self._shapes)
        self._shaped = [
            name
            for value in observed(model.graph)
            if None not in self._assumed.get(name := name_of(value), (None,))
        ]
        self._sizes_of = lru_cache(_KNOWN_SHAPES)(self._sizes)

    def run(self, batch: list[Sample]) -> Seen:
        """Runs samples of one shape."""
        inputs = stack(batch)
        sizes = self._sizes_of(tuple((name, array.shape) for name, array in batch[0].inputs.items()))
        while True:
            seen = self._run(inputs, sizes)
            overflowing = seen.overflowing(len(batch))
            if not overflowing:
                return seen
            self._infinite |= overflowing
            self._opened.clear()

    def _run(self, inputs: Feeds, sizes: Mapping[str, int] | None) -> Seen:
        if sizes is not None:
            instrumented, session = self._open(sized=True)
            with suppress(
                ModelError
            ):  # as of an empty tensor; the plain one tells where the model itself fails
                return Seen(instrumented, session.run(inputs), sizes)
        instrumented, session = self._open(sized=False)
        return Seen(instrumented, session.run(inputs), {})

    def _open(self, *, sized: bool) -> tuple[Instrumented, Session]:
        if sized not in self._opened:
            instrumented = instrument(
                self._model,
                shapes=self._assumed if sized else {},
                needs=self._needs,
                infinite=self._infinite,
                by_sample=self._by_sample,
            )
            runtime = get_runtime("onnxruntime", self._provider)
            self._opened[sized] = instrumented, runtime.open(instrumented.model, threads=self._threads)
        return self._opened[sized]

    def _sizes(self, inputs: _Inputs) -> Mapping[str, int] | None:
        """Elements of the tensors that the assumed sizes give a shape, where the inputs have these.

        None where one of them is empty, or unknown.
        """
        shapes = self._shapes.at(dict(inputs))
        sizes = {name: math.prod(dim or 0 for dim in shapes.get(name, (None,))) for name in self._shaped}
        return sizes if all(sizes.values()) else None
