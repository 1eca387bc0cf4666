"""Sensitivity of a model to each unit: its error alone, its cost in float.

The errors are exact on the samples that are used: each unit is rounded as in the int8 model, op by op, and the change
is followed to the outputs (`sweep`). What units do to each other is not in them: `sum_db` beside `total_db` shows that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice

from tinyint.data import Sample
from tinyint.diagnosis.alone import Part
from tinyint.diagnosis.causes import Cause
from tinyint.diagnosis.compare import Comparison
from tinyint.diagnosis.judge import Judge
from tinyint.diagnosis.matched import Matched
from tinyint.diagnosis.sweep import Sweep, passes
from tinyint.diagnosis.unit_costs import UnitCost
from tinyint.diagnosis.units import Unit
from tinyint.errors import DataError
from tinyint.graph.passes.exact_products import exact_products
from tinyint.numbers.distance import NoiseSum
from tinyint.numbers.numerics import Array
from tinyint.runtimes import get_runtime
from tinyint.runtimes.host import host
from tinyint.runtimes.outputs import tensors_of
from tinyint.runtimes.run import Progress, silent

__all__ = ["Errors", "Sensitivity", "UnitSensitivity", "errors_alone", "rows_of"]

_PASSES, _MOST, _FEWEST = 640.0, 64, 4
"""Float passes that a measurement may take; bounds of the number of samples."""
_OVERHEAD = 2.5
"""Time of a sweep beside that of as many multiply-adds in whole passes."""


@dataclass(frozen=True, kw_only=True)
class UnitSensitivity:
    """Error of one unit alone, its cost in float, and the cause.

    * `name`, `op`, `nodes`: as of `Unit`
    * `output_db`: SQNR of the worst output with this unit alone in 8 bits
    * `share`: of the sum of all units' noise, 0 to 1
    * `metrics`: of the task, with this unit alone in 8 bits; empty without labels
    * `cost`: on the runtime, and `in_float_ms`, what a call takes longer with this unit alone in float; None where they
      are not measured
    * `cause`, `detail`: of the error of the part (inputs, weights, result) that makes most of its noise
    """

    name: str
    op: str
    nodes: tuple[str, ...]
    output_db: float
    share: float
    metrics: dict[str, float]
    cost: UnitCost | None
    in_float_ms: float | None
    cause: Cause
    detail: str


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """Sensitivity of a model to its units, worst first.

    * `total_db`: SQNR of the worst output with all units in 8 bits; `sum_db`: what it would be if their noise added up
    * `metrics`: of the float model, and `metrics_int8` of the int8 model, op by op; empty without labels
    * `runtime`: where the costs were measured; "" where they were not
    """

    rows: tuple[UnitSensitivity, ...]
    samples: int
    total_db: float
    sum_db: float
    metrics: dict[str, float]
    metrics_int8: dict[str, float]
    runtime: str = ""
    notices: tuple[str, ...] = ()


Noise = dict[str, NoiseSum]
"""Noise of each output."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Errors:
    """Noise of the outputs with each unit alone in 8 bits.

    Under None: with all of them. `sizes`: elements of each tensor between units, for the first sample.
    """

    noise: dict[Unit | None, Noise]
    samples: int
    sizes: dict[str, int]
    parts: Mapping[Unit, Mapping[Part, float]]
    judge: Judge | None = None

    def ratio(self, unit: Unit | None) -> float:
        """Noise over signal of the worst output."""
        return max(map(_ratio, self.noise[unit].values()), default=0.0)


@dataclass(kw_only=True)
class _Measurement:
    matched: Matched
    units: tuple[Unit, ...]
    judge: Judge | None
    sweep: Sweep = field(init=False)

    def __post_init__(self) -> None:
        self.sweep = Sweep(matched=self.matched, units=self.units)
        self._whole = get_runtime("onnxruntime").open(
            exact_products(self.matched.int8), threads=1, optimize=False
        )

    def sample(self, sample: Sample) -> dict[Unit | None, Noise]:
        """Noise of each version on one sample, which the judge sees too."""
        found: dict[Unit | None, Noise] = {}
        expected: dict[str, Array] = {}
        for unit, outputs in self.sweep.run(sample.inputs):
            if unit is None:
                expected = outputs
                self._judge("float", sample, outputs)
                whole = tensors_of(self._whole.run(sample.inputs))
                self._judge(None, sample, whole)
                found[None] = _noise(expected, whole)
            else:
                self._judge(unit, sample, outputs)
                found[unit] = _noise(expected, outputs)
        return found

    def _judge(self, key: Unit | str | None, sample: Sample, outputs: dict[str, Array]) -> None:
        if self.judge is not None:
            self.judge.add(key, sample, outputs)


def errors_alone(
    matched: Matched,
    units: tuple[Unit, ...],
    data: Iterable[Sample],
    *,
    judge: Judge | None = None,
    samples: int | None = None,
    threads: int | None = None,
    progress: Progress = silent,
) -> Errors:
    """Measures the error of each unit alone.

    * `samples`: how many; None for as many as take about 640 float passes, between 4 and 64
    * `judge`: gets the outputs too, under the unit, under None for the whole int8 model and "float" for the float one

    Raises DataError without samples, and as `Sweep` and `Judge.add`.
    """
    iterator = iter(data)
    first = next(iterator, None)
    if first is None:
        raise DataError("there are no samples to measure the units on; give --data")
    measurement = _Measurement(matched=matched, units=units, judge=judge)
    sizes = measurement.sweep.open(first.inputs)
    count = samples or samples_for(passes(measurement.sweep))
    noise: dict[Unit | None, Noise] = {unit: {} for unit in (None, *units)}
    done = 0
    with ThreadPoolExecutor(threads or host().cores) as pool:
        for found in pool.map(measurement.sample, chain([first], islice(iterator, count - 1))):
            for unit, outputs in found.items():
                for name, part in outputs.items():
                    noise[unit].setdefault(name, NoiseSum()).merge(part)
            done += 1
            progress("units", done, count)
    return Errors(noise=noise, samples=done, sizes=sizes, parts=measurement.sweep.parts, judge=judge)


def samples_for(passes_each: float) -> int:
    """Number of samples that keeps a measurement within the time of 640 float passes."""
    return int(min(max(_PASSES / (_OVERHEAD * passes_each), _FEWEST), _MOST))


def rows_of(
    errors: Errors, units: Sequence[Unit], matched: Matched, compared: Comparison, costs: dict[Unit, UnitCost]
) -> Sensitivity:
    """Sensitivity from the errors, the comparison that has the causes, and the costs."""
    total = sum(errors.ratio(unit) for unit in units)
    judge = errors.judge
    rows = []
    for unit in units:
        cause, detail = _cause(unit, matched, compared, errors.parts.get(unit, {}))
        cost = costs.get(unit)
        rows.append(
            UnitSensitivity(
                name=unit.name,
                op=unit.op,
                nodes=unit.nodes,
                output_db=_db(errors.ratio(unit)),
                share=errors.ratio(unit) / total if 0 < total < math.inf else 0.0,
                metrics={} if judge is None else judge.metrics(unit),
                cost=cost,
                in_float_ms=None if cost is None else cost.in_float_ms,
                cause=cause,
                detail=detail,
            )
        )
    return Sensitivity(
        rows=tuple(sorted(rows, key=lambda row: (row.output_db, row.name))),
        samples=errors.samples,
        total_db=_db(errors.ratio(None)),
        sum_db=_db(total),
        metrics={} if judge is None else judge.metrics("float"),
        metrics_int8={} if judge is None else judge.metrics(None),
    )


def _cause(
    unit: Unit, matched: Matched, compared: Comparison, parts: Mapping[Part, float]
) -> tuple[Cause, str]:
    """Cause of the error of the part that makes most of the unit's noise, and the figures that show it."""
    if not parts:
        return Cause.FINE, ""
    part = max(parts, key=lambda each: parts[each])
    weights = {c.name for c in matched.pairs.constants if c.reader in unit.nodes and c.kind == "weight"}
    names = {Part.INPUTS: {*unit.inputs}, Part.WEIGHTS: weights, Part.RESULT: {unit.output}}[part]
    own = [
        (row.local_db, row)
        for row in compared.rows
        if row.name in names and (row.kind == "weight") == (part is Part.WEIGHTS) and row.local_db is not None
    ]
    most = f"{parts[part]:.0%} of its noise is from its {part}"
    if not own:
        return Cause.FINE, most
    db, worst = min(own, key=lambda item: item[0])
    if worst.cause in (Cause.FINE, Cause.ACCUMULATED):
        return Cause.FINE, f"{most}; {worst.name} has {db:.1f} dB on its own"
    return worst.cause, f"{most}; {worst.name}: {worst.detail}"


def _noise(expected: dict[str, Array], found: dict[str, Array]) -> Noise:
    """Noise of the float outputs that have the same shape in both."""
    sums: Noise = {}
    for name, array in expected.items():
        other = found.get(name)
        if array.dtype.kind == "f" and other is not None and other.shape == array.shape:
            sums.setdefault(name, NoiseSum()).add(array, other)
    return sums


def _ratio(noise: NoiseSum) -> float:
    if noise.noise == 0.0:
        return 0.0
    return noise.noise / noise.signal if noise.signal else math.inf


def _db(ratio: float) -> float:
    if ratio == 0.0:
        return math.inf
    return -10.0 * math.log10(ratio) if ratio < math.inf else -math.inf
