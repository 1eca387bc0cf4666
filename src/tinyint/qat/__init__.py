"""The graph as a torch module that can be trained."""

from __future__ import annotations

from importlib.util import find_spec

from tinyint.errors import DependencyError

if find_spec("torch") is None:
    raise DependencyError('training needs torch, which is not installed: run pip install "tinyint[torch]"')

from tinyint.qat.module import GraphModule, to_torch
from tinyint.qat.program import Step, compile_graph

__all__ = ["GraphModule", "Step", "compile_graph", "to_torch"]
