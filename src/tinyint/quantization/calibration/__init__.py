"""Calibration: summaries of a float model's tensors, from one pass over samples."""

from tinyint.quantization.calibration.record import CalibrationRecord, Decision
from tinyint.quantization.calibration.run import calibrate

__all__ = ["CalibrationRecord", "Decision", "calibrate"]
