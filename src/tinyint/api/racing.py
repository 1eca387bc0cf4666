"""Race of placements within `quantize`: entrants, samples, memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import onnx_ir as ir

from tinyint.api.proving import proof_data
from tinyint.data import Sample, Samples
from tinyint.errors import DataError, ModelError, OutputError, TargetError, TinyintError
from tinyint.graph.source import ModelSource
from tinyint.proof.kept_races import Races, race_key
from tinyint.proof.placement_race import Entrant, PlacementRace, race_placements
from tinyint.quantization.calibrated import Calibration
from tinyint.quantization.placements import placements
from tinyint.quantization.ptq import Quantized, Source
from tinyint.runtimes import Runtime, TensorSpec, get_runtime
from tinyint.runtimes.host import host
from tinyint.runtimes.run import Run, silent
from tinyint.targets import Target

__all__ = ["raced", "require_race"]

_SAMPLES, _PROFILED = 32, 10


def require_race(seconds: float | None, target: Target, samples: Samples) -> None:
    """Raises TinyintError where nothing can be raced, with what would have to be otherwise."""
    runtime, cpu = get_runtime(target.runtime), target.cpu
    if seconds is None:
        return
    if not 0 < seconds < float("inf"):
        raise TinyintError(f"--race {seconds:g} (Run.race): expected a number of seconds above 0")
    if samples.data is None:
        raise DataError("--race compares placements on samples: give data (--data), or leave it out")
    if not (
        runtime.available() and cpu.family != "gpu" and cpu.runs_on(host()) and not cpu.saturates_on(host())
    ):
        raise TargetError(
            f"--race times models where they will run, and {target.name} is for {cpu.name} with {runtime.name}, which "
            "is not here; race there, or leave it out"
        )


def raced(
    source: Source,
    float_model: ModelSource,
    samples: Samples,
    ranges: Calibration,
    specs: Sequence[TensorSpec],
    run: Run,
) -> tuple[Quantized, PlacementRace | None]:
    """Fastest placement of the source that is accurate enough, and its race.

    The race may have been that of an earlier run; without `Run.race`, there is none.
    Raises as `proof_data`, `Source.quantized` and `race_placements`.
    """
    if run.race is None:
        return source.quantized(), None
    quiet = replace(run, progress=silent)
    found = proof_data(samples, ranges, source.record, specs, quiet, source.pixels)
    assert found is not None
    held, runtime, races = found[0], get_runtime(source.target.runtime), Races()
    taken, threads = list(islice(held.samples, _SAMPLES)), run.threads or host().cores
    key = race_key(source, runtime, threads, taken[0])
    known = races.load(key)
    if known is not None:
        return source.quantized(known.rules), known
    entrants = _entrants(source, run, runtime, taken[0])
    race = race_placements(
        entrants,
        _readable(float_model, source, runtime, threads, taken[0]),
        taken,
        runtime=runtime,
        seconds=run.race,
        threads=threads,
        held_out=held.held_out,
    )
    try:
        races.store(key, race)
    except OutputError as error:
        run.notice(f"the race is not remembered: {error}")
    return next(e.quantized for e in entrants if e.placement.name == race.chosen), race


def _entrants(source: Source, run: Run, runtime: Runtime, sample: Sample) -> list[Entrant]:
    """The plan, and other placements of it; those that cannot be built are left out."""
    planned = source.quantized()
    assert planned.plan is not None
    run.progress("race", 0, None)
    measured = _profiled(source.graph, planned, runtime, sample, run.threads)
    first, *others = placements(source.graph, planned.plan, source.target, measured)
    entrants = [Entrant(placement=first, quantized=planned)]
    for i, placement in enumerate(others, 1):
        run.progress("race", i, len(others) + 1)
        entrants.append(Entrant(placement=placement, quantized=source.quantized(placement.rules)))
    run.progress("race", len(others) + 1, len(others) + 1)
    return entrants


def _profiled(
    graph: ir.Model, planned: Quantized, runtime: Runtime, sample: Sample, threads: int | None
) -> dict[str, tuple[float, float]]:
    """Microseconds of the planned int8 nodes, in float and in int8; 0 for one that is a part of another."""

    def microseconds(model: ir.Model) -> dict[str, float]:
        rows = runtime.profile(model, sample.inputs, calls=_PROFILED, threads=threads)
        return {row.name: 1e3 * row.ms for row in rows}

    floats, codes = microseconds(graph), microseconds(planned.model)
    known = [name for name in planned.planned_int8 if name in floats or name in codes]
    return {name: (floats.get(name, 0.0), codes.get(name, 0.0)) for name in known}


def _readable(
    model: ModelSource, source: Source, runtime: Runtime, threads: int, sample: Sample
) -> ModelSource:
    """The float model, or its graph where the runtime does not take the file, or pixels were folded into it."""
    if source.pixels is not None:
        return source.graph
    try:
        _run_once(model, runtime, threads, sample)
    except ModelError:
        return source.graph
    return model


def _run_once(model: ModelSource, runtime: Runtime, threads: int, sample: Sample) -> None:
    runtime.open(model, threads=threads).run(sample.inputs)
