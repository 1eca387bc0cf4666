"""Proof of a quantized model: int8 coverage, distance to float, speed."""

from tinyint.proof.measured import Latency, Sizes
from tinyint.proof.prove import prove
from tinyint.proof.report import Report, TensorRow
from tinyint.proof.verdict import Verdict

__all__ = ["Latency", "Report", "Sizes", "TensorRow", "Verdict", "prove"]
