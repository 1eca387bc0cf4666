"""Calibration: summaries of a float model's tensors, from one pass over samples."""

from tinyint.calibrate.record import CalibrationRecord, Decision
from tinyint.calibrate.run import calibrate

__all__ = ["CalibrationRecord", "Decision", "calibrate"]
