"""Calibration: what the tensors of a float model hold, from one pass over some samples."""

from tinyint.calibrate.record import CalibrationRecord, Decision
from tinyint.calibrate.run import calibrate

__all__ = ["CalibrationRecord", "Decision", "calibrate"]
