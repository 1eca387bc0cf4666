"""The recipe `full` on each target: every operator of the list runs in int8, or there is a reason."""

import numpy as np
import pytest

from tests.graph.build import build
from tests.models import transformer
from tinyint.graph.prepare import prepare
from tinyint.quantization.plan import plan
from tinyint.quantization.recipe import Recipe
from tinyint.targets import TARGETS, get_target

FULL = Recipe.load("full")

# The operator reads `a` and `b`, which convolutions make and others read; another one reads its result `y`.
LINES = {
    "Conv": "y = Conv (a, v)",
    "DepthwiseConv": "y = Conv <group = 4> (a, depth)",
    "MatMul": "y = MatMul (a, square)",
    "MaxPool": "y = MaxPool <kernel_shape = [2, 2]> (a)",
    "AveragePool": "y = AveragePool <kernel_shape = [2, 2]> (a)",
    "GlobalAveragePool": "y = GlobalAveragePool (a)",
    "Add": "y = Add (a, b)",
    "Sub": "y = Sub (a, b)",
    "Concat": "y = Concat <axis = 1> (a, b)",
    "Softmax": "y = Softmax <axis = 1> (a)",
    "Transpose": "y = Transpose <perm = [0, 1, 3, 2]> (a)",
    "Gather": "y = Gather <axis = 2> (a, rows)",
    "ReduceMean": "y = ReduceMean <axes = [3], keepdims = 1> (a)",
    "Reshape": "y = Reshape (a, shape)",
    "Resize": 'y = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric"> (a, , scales)',
    "Resize (linear)": 'y = Resize <mode = "linear"> (a, , scales)',
    "Slice": "y = Slice (a, one, two, two)",
    "Squeeze": "y = Squeeze (a, zero)",
}
COMPARED = {
    "ArgMax": "y = ArgMax <axis = 1> (a)",
    "Equal": "y = Equal (a, b)",
    "Greater": "y = Greater (a, b)",
    "GreaterOrEqual": "y = GreaterOrEqual (a, b)",
    "Less": "y = Less (a, b)",
    "LessOrEqual": "y = LessOrEqual (a, b)",
}
LIST = {**LINES, **COMPARED}

WEIGHTED = {"Conv", "DepthwiseConv", "MatMul"}
POOLS = {"AveragePool", "GlobalAveragePool"}
MOVED = {"MaxPool", "Transpose", "Gather", "Reshape", "Resize", "Slice", "Squeeze"}
ON_ORT = {*WEIGHTED, *POOLS, *MOVED, "Add", "Concat", "Softmax", "ArgMax"}
INT8 = {
    "x86-vnni": ON_ORT,
    "x86-avx2": ON_ORT,
    "arm64": ON_ORT,
    "generic": ON_ORT,
    "openvino": {*ON_ORT, *COMPARED, "Sub", "ReduceMean"} - {"Softmax", "ArgMax"},
    "openvino-avx2": {*ON_ORT, *COMPARED, "Sub", "ReduceMean"} - {"Softmax", "ArgMax"},
    "tensorrt": {*WEIGHTED, *POOLS, "Add", "Concat", "Sub", "ReduceMean"},
}


def around(name):
    last = "wide" if name == "Concat" else "v"
    follower = "" if name in COMPARED else f"[follower] z = Conv (y, {last})"
    result = "y" if name in COMPARED else "z"
    kind = {"ArgMax": "int64"}.get(name, "bool") if name in COMPARED else "float"
    shape = "[A, B, C]" if name == "Squeeze" else "[A, B, C, D]"
    other = (
        "x" if name == "Add" else "b"
    )  # TensorRT adds in int8 where a convolution's result has no other reader
    return prepare(
        build(
            f"""
            net (float[1, 4, 8, 8] x) => ({kind}{shape} {result}, float[1, 4, 8, 8] c, float[1, 4, 8, 8] d) {{
              [left] a = Conv (x, w1)
              [right] b = Conv (x, w2)
              [op] {LIST[name]}
              {follower}
              [reads_a] c = Conv (a, w3)
              [reads_b] d = Conv ({other}, w4)
            }}
            """,
            w1=(4, 4, 1, 1),
            w2=(4, 4, 1, 1),
            w3=(4, 4, 1, 1),
            w4=(4, 4, 1, 1),
            v=(4, 4, 1) if name == "Squeeze" else (4, 4, 1, 1),
            wide=(4, 8, 1, 1),
            depth=(4, 1, 1, 1),
            square=(8, 8),
            rows=np.array([0, 3, 5]),
            shape=np.array([1, 4, 4, 16]),
            scales=np.array([1, 1, 2, 2], np.float32),
            zero=np.array([0]),
            one=np.array([1]),
            two=np.array([2]),
        )
    )


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", LIST)
def test_full_quantizes_what_the_target_has_and_names_the_reason_for_the_rest(target, name):
    planned = plan(around(name), TARGETS[target], FULL)
    if name in INT8[target]:
        assert "op" in planned.int8_nodes
    else:
        known = TARGETS[target].left_float.get(name, f"{target} has no rule for {name} in int8")
        assert planned.float_nodes["op"] == known


def test_softmax_amid_attention_is_asked_for_by_full_only():
    x86 = get_target("x86-vnni")
    assert "softmax" in plan(transformer(), x86, FULL).int8_nodes
    reason = plan(transformer(), x86, Recipe.load("default")).float_nodes["softmax"]
    assert reason == "Softmax is not among the operator types of the recipe"


def test_every_rule_and_every_reason_of_openvino_is_its_own():
    openvino = TARGETS["openvino"]
    assert all("OpenVINO" in rule.source for rule in openvino.operators.values())
    assert all("OpenVINO" in reason for reason in openvino.left_float.values())
