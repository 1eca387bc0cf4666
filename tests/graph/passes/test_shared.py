from __future__ import annotations

from tests.graph.build import build
from tests.graph.prepared import BN, IMAGE, check


def test_a_shared_weight_is_cloned_before_it_is_folded() -> None:
    model = build(
        f"{IMAGE} {{ c = Conv<pads=[1,1,1,1]>(x,w,b) d = BatchNormalization(c,scale,shift,mean,var) e = "
        f"Conv<pads=[1,1,1,1]>(x,w,b) y = Add(d,e) }}",
        w=(4, 4, 3, 3), b=(4,), **BN,
    )  # fmt: skip
    prepared = check(model, ["Conv", "Conv", "Add"])
    convs = [node for node in prepared.graph if node.op_type == "Conv"]
    assert {convs[0].inputs[1], convs[0].inputs[2]}.isdisjoint({convs[1].inputs[1], convs[1].inputs[2]})
