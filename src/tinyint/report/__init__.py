"""The proof of a quantized model, and how it is told: as JSON, in the terminal, as a page."""

from tinyint.report.measured import Latency, Sizes
from tinyint.report.prove import prove
from tinyint.report.report import Report, TensorRow
from tinyint.report.verdict import Verdict

__all__ = ["Latency", "Report", "Sizes", "TensorRow", "Verdict", "prove"]
