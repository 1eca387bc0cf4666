"""ONNX's own operator cases, collected once, and which of them are not for us."""

from __future__ import annotations

import functools
import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from tinyint.torch_graph.operators import OPERATORS

EXCLUDED = {
    r"FLOAT[48]E|e4m3|e5m2|e2m1|e8m0": "floats of 8 bits and fewer are no type to train in",
    r"U?INT[24]\b|U?INT[24]_|_u?int[24]$|uint2|uint4": "torch computes with no integers below 8 bits",
    r"string|STRING": "strings are no tensors",
    r"^test_training_dropout": "random numbers in a graph: dropout is left out, as in inference",
    r"^test_resize_downsample_scales_(linear|cubic)_align_corners": "the corners of a size that is no whole number, "
    "where ONNX Runtime and OpenVINO align those of the size that they give",
}
"""Pattern of a case's name → why no torch graph runs it."""


@dataclass(frozen=True)
class Case:
    name: str
    model: onnx.ModelProto
    data: list[tuple[list[Any], list[Any]]]
    rtol: float
    atol: float
    op_types: frozenset[str]

    @property
    def excluded(self) -> bool:
        return any(re.search(pattern, self.name) for pattern in EXCLUDED)


@functools.cache
def all_cases() -> tuple[Case, ...]:
    """Every case whose operators are all in the table (or Constant)."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    cases = []
    for case in found:
        nodes = case.model.graph.node
        ops = frozenset(node.op_type for node in nodes)
        if ops <= {*OPERATORS, "Constant"} and all(node.domain in ("", "ai.onnx") for node in nodes):
            cases.append(Case(case.name, case.model, case.data_sets, case.rtol, case.atol, ops))
    return tuple(cases)


@functools.cache
def by_operator() -> dict[str, tuple[Case, ...]]:
    """The cases of one node, by its operator; those of several, which spell an operator out, under "expanded"."""
    groups: dict[str, list[Case]] = {}
    for case in all_cases():
        key = next(iter(case.op_types)) if len(case.model.graph.node) == 1 else "expanded"
        groups.setdefault(key, []).append(case)
    return {key: tuple(cases) for key, cases in groups.items()}


def array(value: Any) -> Any:
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
