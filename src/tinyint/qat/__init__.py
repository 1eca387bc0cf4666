"""Graph as a trainable torch module: float (`to_torch`) or fake-quantized (`prepare`, `export`)."""

from __future__ import annotations

from importlib.util import find_spec

from tinyint.errors import DependencyError

if find_spec("torch") is None:
    raise DependencyError('training needs torch, which is not installed: run pip install "tinyint[torch]"')

from tinyint.qat.batch_norm.reestimation import reestimate
from tinyint.qat.distill import distillation_loss
from tinyint.qat.export import export
from tinyint.qat.prepare import prepare
from tinyint.qat.qat_module import QatModule
from tinyint.qat.settings import QatSettings
from tinyint.torch_graph.module import GraphModule, to_torch
from tinyint.torch_graph.program import Step, compile_graph

__all__ = [
    "GraphModule",
    "QatModule",
    "QatSettings",
    "Step",
    "compile_graph",
    "distillation_loss",
    "export",
    "prepare",
    "reestimate",
    "to_torch",
]
