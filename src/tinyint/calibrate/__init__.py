"""Calibration: what the tensors of a float model hold, from one pass over some samples."""

from tinyint.calibrate.record import CalibrationRecord
from tinyint.calibrate.run import calibrate

__all__ = ["CalibrationRecord", "calibrate"]
