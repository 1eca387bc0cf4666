"""Time of groups of nodes, by hand."""

from tinyint.diagnosis.layer_times import OTHERS, spent_by
from tinyint.runtimes.base import LayerTime


def row(name: str, ms: float, *sources: str) -> LayerTime:
    return LayerTime(name=name, op="", precision="", detail="", ms=ms, sources=sources)


def test_rows_count_for_the_first_owner_of_their_nodes():
    owner = {"conv": "conv", "relu": "conv", "fc": "fc"}
    rows = [row("fused", 2.0, "pad", "relu", "fc"), row("conv", 1.0), row("fc", 4.0), row("quantize", 0.5)]
    assert spent_by(rows, owner) == {"conv": 3.0, "fc": 4.0, OTHERS: 0.5}
    assert spent_by([], owner) == {}
