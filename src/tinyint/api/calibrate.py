"""The verb `calibrate`: one pass over some samples, whose record serves every target."""

from __future__ import annotations

from tinyint.api.given_model import GivenModel, Model
from tinyint.data import Data, Samples
from tinyint.graph.prepare import prepare_float
from tinyint.quantization.calibrated import Calibration, calibrated
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes.run import Run

__all__ = ["calibrate"]


def calibrate(model: Model, data: Data, *, run: Run | None = None) -> CalibrationRecord:
    """Calibration record of a float model over samples of `data`.

    The first 128, or as many as the limit of `Samples` says; save it with `.save(path)`.

    `run.batch_size` samples run at a time, where the model's batch is open, on `run.provider`.
    An interrupted run goes on where it stopped, and one that is repeated comes from the cache, where the data are
    files. Where samples that cannot be read are left out, the record is not cached. `run.notice` is told what the user
    should know about the data. Raises ModelError, DataError and DependencyError.
    """
    run, source, without_steps = run or Run(), GivenModel.of(model), Recipe()
    run.require_only("calibrate", "threads", "batch_size", "provider")
    prepared, fingerprint = prepare_float(source.model, source.name)
    calibration = Calibration.of(Samples.of(data), source.model, without_steps, run=run)
    _, record = calibrated(prepared, fingerprint, without_steps, calibration)
    for message in calibration.notices:
        run.notice(message)
    return record
