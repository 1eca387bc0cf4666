"""Small graphs as the steps of training, with quantizers over [-1, 1]."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch

from tests.graph.build import build
from tinyint.graph.prepare import prepare
from tinyint.numbers.numerics import QParams, qparams_from_range
from tinyint.numbers.scheme import Scheme
from tinyint.qat.placement import rewrite
from tinyint.qat.quantizers.activations import ObservedQuantizer
from tinyint.qat.quantizers.weights import WeightQuantizer
from tinyint.quantization.plan import Plan, plan
from tinyint.quantization.recipe import Recipe
from tinyint.targets import get_target
from tinyint.torch_graph.program import Step, compile_graph

WEIGHTS = {"w": (4, 4, 1, 1), "v": (4, 4, 1, 1), "b": (4,), "u": (4,)}


def rewritten(
    body: str, target: str = "x86-vnni", outputs: str = "float[1, 4, A, B] y"
) -> tuple[list[Step], ir.Graph]:
    """The steps of a graph of `x`, with the quantizers that the default recipe plans."""
    weights = {name: shape for name, shape in WEIGHTS.items() if f"{name})" in body or f"{name}," in body}
    model = prepare(build(f"net (float[1, 4, 6, 6] x) => ({outputs}) {{ {body} }}", **weights))
    planned = plan(model, get_target(target), Recipe.load("default"))
    quantizers: dict[str, ObservedQuantizer] = {}
    for name, tensor in planned.tensors.items():
        own = ObservedQuantizer(tensor.scheme, _ones(tensor.scheme))
        quantizers[name] = quantizers.get(tensor.group, own)
    return rewrite(
        compile_graph(model.graph), model.graph, planned, quantizers, _weights(planned)
    ), model.graph


def _weights(planned: Plan) -> dict[tuple[str, int], WeightQuantizer]:
    return {
        use: WeightQuantizer(constant.scheme, _ones(constant.scheme, 4), torch.ones(()), learned=False)
        for use, constant in planned.constants.items()
        if constant.scheme is not None
    }


def _ones(scheme: Scheme, channels: int = 1) -> QParams:
    end = np.ones(channels) if scheme.axis is not None else 1.0
    return qparams_from_range(
        -end, end, qtype=scheme.qtype, symmetric=scheme.symmetric, granularity=scheme.granularity
    )
