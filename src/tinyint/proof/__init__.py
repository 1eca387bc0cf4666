"""The proof of a quantized model: what runs in int8, how far its outputs are from float, how fast it is."""

from tinyint.proof.measured import Latency, Sizes
from tinyint.proof.prove import prove
from tinyint.proof.report import Report, TensorRow
from tinyint.proof.verdict import Verdict

__all__ = ["Latency", "Report", "Sizes", "TensorRow", "Verdict", "prove"]
