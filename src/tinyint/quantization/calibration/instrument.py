"""The float graph with its observers inside.

Handing whole activations to NumPy costs more than the model itself: a ResNet50 makes 40 MB of them an image. So the
exact extrema are reductions in the graph, and what leaves it is a few numbers a tensor and a regular subsample.

The statistics that steps ask for (`calibrate.statistics`) are reductions of their own.

Models with open sizes are observed as if those were `ASSUMED`: how densely depends on the model alone, so that no order
or split of the samples decides it. What a large sample then gives too much is left out after the run.

A tensor that holds infinities, as masks do, is observed without them, by other operators that are slower. So the graph
is made for those that are known to, and made anew when another one turns out to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.flow import observed
from tinyint.graph.names import name_of
from tinyint.graph.passes.shapes import Shape, ShapesOf
from tinyint.numbers.numerics import Array
from tinyint.quantization.calibration.channelwise import ChannelProbe, observe_channels
from tinyint.quantization.calibration.probes import (
    ASSUMED,
    EXTREMA,
    PEAKS,
    SUBSAMPLE,
    Observer,
    Probe,
    stride_for,
)
from tinyint.quantization.calibration.statistics import Request

__all__ = ["SUBSAMPLE", "Instrumented", "Observation", "assumed_shapes", "instrument", "require_batches"]


class Observation(NamedTuple):
    """One tensor's extrema and subsample for one sample.

    `lo`, `hi`: of its finite values, inf and -inf where it has none; `subsample`: infinities included.
    """

    tensor: str
    lo: float
    hi: float
    subsample: Array
    elements: int
    infinite: int = 0
    undefined: int = 0


@dataclass(frozen=True, kw_only=True)
class Instrumented:
    """Model whose outputs are observations, one row per sample or for all.

    PEAKS, float32 (N, channels, 1, 1); EXTREMA, float32, INFINITE and UNDEFINED, int64 (rows, columns); subsamples.
    `names`: what the model calls the first four, as far as it has them; `channels`: of the statistics that were asked
    for.
    """

    model: ir.Model
    probes: tuple[Probe, ...]
    names: Mapping[str, str]
    channels: tuple[ChannelProbe, ...]

    def read(
        self, found: Mapping[str, Array], sizes: Mapping[str, int], rows: int = 1
    ) -> list[list[Observation]]:
        """The outputs of one run on `rows` samples: sample by sample, tensor by tensor.

        `sizes`: elements in one sample, of the tensors whose shapes were given.
        """
        peaks = self._peaks(found, rows)
        numbers = {key: found[name].tolist() for key, name in self.names.items() if key != PEAKS}
        subsamples = [_thinned(found[p.subsample].reshape(rows, -1)) for p in self.probes]
        elements = [sizes[p.tensor] if p.size is None else int(found[p.size][1]) for p in self.probes]
        samples = []
        for row in range(rows):
            of_row = {key: values[row] for key, values in numbers.items()}
            extrema = (p.extrema(peaks[row] if p.pooled else of_row[EXTREMA]) for p in self.probes)
            odd = (p.counts(of_row) for p in self.probes)
            sample = zip(self.probes, extrema, subsamples, elements, odd, strict=True)
            samples.append(
                [Observation(p.tensor, *ends, sub[row], size, *n) for p, ends, sub, size, n in sample]
            )
        return samples

    def overflowing(self, found: Mapping[str, Array], sizes: Mapping[str, int], rows: int = 1) -> set[str]:
        """The tensors that hold infinities, and are not observed without them yet."""
        if all(np.isfinite(found[name]).all() for name in self.names.values()):
            return set()
        known = {p.tensor for p in self.probes if p.infinite is not None}
        seen = (o for sample in self.read(found, sizes, rows) for o in sample)
        return {o.tensor for o in seen if not (math.isfinite(o.lo) and math.isfinite(o.hi))} - known

    def _peaks(self, found: Mapping[str, Array], rows: int) -> list[dict[int, float]]:
        """Row by row, the maximum of each tensor, by its first channel in PEAKS."""
        starts = sorted({i for p in self.probes if p.pooled for i in (p.lo, p.hi) if i is not None})
        if not starts:
            return [{} for _ in range(rows)]
        peaks = found[self.names[PEAKS]]
        highest = peaks.reshape(rows, -1, peaks.shape[1]).max(axis=1)
        maxima = np.maximum.reduceat(highest, starts, axis=1).tolist()
        return [dict(zip(starts, row, strict=True)) for row in maxima]


def instrument(
    model: ir.Model,
    *,
    shapes: Mapping[str, Shape],
    needs: AbstractSet[Request] = frozenset(),
    infinite: AbstractSet[str] = frozenset(),
    by_sample: bool = False,
) -> Instrumented:
    """Copy of a prepared float model with observers of its tensors.

    Every tensor in `graph.flow.observed` is observed, and the statistics in `needs`.

    * `shapes`: of tensors, for one sample; those of the samples may be others, but not empty. Of a tensor without a
      known one, the graph finds out the size
    * `infinite`: the tensors that are observed without their infinities
    * `by_sample`: a row of the outputs for each row of the inputs; else one for all, as for one sample
    """
    model = model.clone()
    observer = Observer.of(model, shapes, infinite, by_sample=by_sample)
    probes = tuple(map(observer.observe, observed(model.graph)))
    channels = observe_channels(model.graph, observer.builder, needs, by_sample=by_sample)
    names = observer.builder.finish()
    return Instrumented(model=model, probes=probes, names=names, channels=channels)


def assumed_shapes(shapes: ShapesOf) -> dict[str, Shape]:
    """Shapes of one sample, with open sizes as assumed.

    Those of axis 0 stay open, since tensors are joined by it.
    """
    declared, assumed = shapes.assuming(1), shapes.assuming(1, ASSUMED)
    return {name: (*declared.get(name, (None,))[:1], *shape[1:]) for name, shape in assumed.items()}


def require_batches(model: ir.Model) -> None:
    """Requires axis 0 of inputs and observed tensors to count samples.

    Raises ModelError otherwise.
    """
    refused = "the model cannot be calibrated in batches"
    for value in model.graph.inputs:
        if value.shape is not None and value.shape and isinstance(value.shape[0], int):
            raise ModelError(
                f"{refused}: its input {value.name!r} has the fixed shape {list(value.shape)}; use a batch size of 1, "
                "or export it with an open batch"
            )
    shapes = ShapesOf(model)
    few, many = shapes.assuming(3), shapes.assuming(5)
    for value in observed(model.graph):
        name = name_of(value)
        if few.get(name, ())[:1] != (3,) or many.get(name, ())[:1] != (5,):
            raise ModelError(
                f"{refused}: axis 0 of tensor {name!r} does not count the samples, or it is not known that it does; "
                "use a batch size of 1"
            )


def _thinned(subsample: Array) -> Array:
    """The subsamples (rows, any) of tensors much larger than assumed, with about as many elements as others have."""
    elements = subsample.shape[1]
    return subsample if elements <= 4 * SUBSAMPLE else subsample[:, :: stride_for(elements)]
