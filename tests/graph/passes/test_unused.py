from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import tinyint
from tests.graph.build import build
from tinyint.graph.io import save_model
from tinyint.graph.passes.unused import drop_unused_constants


def test_only_constants_that_nothing_reads_go() -> None:
    model = build(
        """
        g (float[2] x, bool c) => (float[2] y, float[2] given) {
            s = Add (x, read)
            y = If (c) <then_branch = t () => (float[2] p) { p = Add (s, inner) },
                        else_branch = e () => (float[2] q) { q = Abs (s) }>
        }
        """,
        **{name: np.ones(2, np.float32) for name in ("read", "inner", "given", "left")},
    )
    drop_unused_constants(model)
    assert set(model.graph.initializers) == {"read", "inner", "given"}


@pytest.mark.parametrize("target", ["x86-vnni", "openvino", "arm64", "tensorrt"])
@pytest.mark.parametrize("recipe", ["default", "full", "dynamic", "weight_only"])
def test_onnx_runtime_has_nothing_to_warn_of(
    recipe: str, target: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    kernels = {name: rng.normal(size=(8, 8, 3, 3)).astype(np.float32) for name in ("w", "v", "u", "left")}
    bounds = {name: np.float32(value) for name, value in {"lo": 0, "hi": 6, "zero": 0}.items()}
    model = build(
        """
        g (float[N,8,8,8] x) => (float[N,8,2,2] y) {
          a = Conv (x, w)  b = Clip (a, lo, hi)  c = Conv (b, v)  d = Clip (c, zero)  y = Conv (d, u)
        }
        """,
        **kernels,
        **bounds,
    )
    save_model(model, tmp_path / "m.onnx")
    data = rng.normal(size=(4, 8, 8, 8)).astype(np.float32)
    output = tmp_path / "int8.onnx"
    tinyint.quantize(
        tmp_path / "m.onnx", data, output=output, recipe=recipe, target=target, run=tinyint.Run(verify=False)
    )
    graph = onnx.load(output).graph
    read = {name for node in graph.node for name in node.input}
    assert {tensor.name for tensor in graph.initializer} <= read
    capfd.readouterr()
    ort.InferenceSession(output, providers=["CPUExecutionProvider"])  # as users open it, with its warnings
    assert "Removing initializer" not in capfd.readouterr().err
