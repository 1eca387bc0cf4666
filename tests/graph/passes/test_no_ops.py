from __future__ import annotations

import numpy as np

from tests.graph.build import build, run
from tests.graph.prepared import IMAGE, F, check
from tinyint.graph.prepare import prepare


def test_no_ops_go_and_outputs_keep_their_names() -> None:
    model = build(
        f"{IMAGE} {{ i = Identity(x) d, m = Dropout(i) r = Relu(d) e = Dropout(r) y = Identity(e) }}"
    )
    check(model, ["Relu"])


def test_an_output_that_is_an_input_or_a_constant_keeps_its_identity() -> None:
    text = (
        "g (float[2] x) => (float[2] y, float[2] z, float[2] y2, float[2] r, float[2] r2) { y = "
        "Identity(x) z = Identity(w) y2 = Identity(y) r = Relu(x) r2 = Identity(r) }"
    )
    prepared = prepare(build(text, w=F([1, 2])))
    assert [v.name for v in prepared.graph.outputs] == ["y", "z", "y2", "r", "r2"]
    outputs = run(prepared, {"x": F([-3, 4])})
    np.testing.assert_array_equal(np.stack(outputs), [[-3, 4], [1, 2], [-3, 4], [0, 4], [0, 4]])
