"""The proof of a quantized model, and how it is told: as JSON, in the terminal, as a page."""

from tinyint.report.prove import prove
from tinyint.report.report import Latency, Report, Sizes, TensorRow

__all__ = ["Latency", "Report", "Sizes", "TensorRow", "prove"]
