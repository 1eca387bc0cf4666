"""What prepare() keeps and what it makes, and the parts of models that its tests share."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from tests.graph.build import feeds_of, operators, run
from tinyint.graph.io import model_fingerprint
from tinyint.graph.prepare import prepare

F = np.float32
BN = dict.fromkeys(("scale", "shift", "mean"), (4,)) | {"var": np.array([0.5, 2.0, 1e-3, 4.0], F)}
IMAGE = "g (float[N,4,6,6] x) => (float[N,4,6,6] y)"
KERNEL = "dilations=[1,1],pads=[1,1,1,1]"


def check(model: ir.Model, expected: list[str], tolerance: float = 2e-5) -> ir.Model:
    """prepare() leaves the caller's model, the interface and the outputs as they were, and these operators."""
    before = model_fingerprint(model)
    prepared = prepare(model)
    assert model_fingerprint(model) == before
    onnx.checker.check_model(ir.to_proto(prepared), full_check=False)
    for was, now in (
        (model.graph.inputs, prepared.graph.inputs),
        (model.graph.outputs, prepared.graph.outputs),
    ):
        assert [(v.name, v.dtype) for v in was if not v.is_initializer()] == [
            (v.name, v.dtype) for v in now
        ] or any(v.is_graph_output() for v in prepared.graph.initializers.values())
    feeds = feeds_of(model)
    for old, new in zip(run(model, feeds), run(prepared, feeds), strict=True):
        np.testing.assert_allclose(
            new, old, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(old).max()))
        )
    assert operators(prepared) == expected
    names = [node.name for node in prepared.graph]
    assert all(names)
    assert len(set(names)) == len(names)
    return prepared
