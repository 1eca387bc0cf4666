"""The operators that ONNX Runtime's quantization tests and NNCF's tests of ONNX models build a model around."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tests.peers.case import Case, ints
from tinyint.runtimes.base import Array

CONVOLVED = {"v": (4, 3, 3, 3), "bias": (4,), "w": (6, 4, 3, 3)}


def amid(
    line: str, *, both: bool = True, openvino: bool | None = None, batch: int | str = "N", **more: Array
) -> Case:
    """The operator between two convolutions, from `a` to `b`; whether both, or the one runtime, compute it in int8."""
    text = f"{_before(batch, 'float[A, B, C, D]')} [op] {line} [after] y = Conv (b, w) }}"
    return _case(text, {**CONVOLVED, **more}, "before after", both, openvino)


def after(line: str, *, out: str, both: bool = True, openvino: bool | None = None, **more: Array) -> Case:
    """The operator after a convolution, from `a` to `y` of the type `out`."""
    weights = {"v": CONVOLVED["v"], "bias": CONVOLVED["bias"], **more}
    return _case(f"{_before('N', out)} [op] {line} }}", weights, "before", both, openvino)


def _before(batch: int | str, out: str) -> str:
    convolved = "[before] a = Conv <pads = [1, 1, 1, 1]> (x, v, bias)"
    return f"net (float[{batch}, 3, 10, 10] x) => ({out} y) {{ {convolved}"


def _case(
    text: str,
    weights: Mapping[str, tuple[int, ...] | Array],
    products: str,
    both: bool,
    openvino: bool | None,
) -> Case:
    there = both if openvino is None else openvino
    return Case(
        text=text,
        weights=weights,
        int8=f"{products} op" if both else products,
        openvino=f"{products} op" if there else products,
    )


FOUR = "float[A, B, C, D]"
NONE = np.zeros(0, np.float32)

MOVERS = {
    "Reshape": amid("b = Reshape (a, to)", to=ints(0, 4, 5, 20)),
    "Transpose": amid("b = Transpose <perm = [0, 1, 3, 2]> (a)"),
    "Slice": amid(
        "b = Slice (a, start, end, axes, steps)", start=ints(1), end=ints(9), axes=ints(2), steps=ints(2)
    ),
    "Gather": amid("b = Gather <axis = 2> (a, rows)", rows=ints(0, 3, 4, 5, 9)),
    "Gather of negative indices": amid("b = Gather <axis = 3> (a, rows)", rows=ints(-1, -2, -3, 0)),
    "MaxPool": amid("b = MaxPool <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (a)"),
    "Split": Case(
        text="net (float[N, 3, 10, 10] x) => (float[A, B, C, D] y, float[E, F, G, H] z) { "
        "[before] a = Conv (x, v) [op] b, c = Split <axis = 1> (a, parts) "
        "[one] y = Conv (b, w1) [two] z = Conv (c, w2) }",
        weights={"v": (6, 3, 3, 3), "w1": (4, 4, 3, 3), "w2": (4, 2, 3, 3), "parts": ints(4, 2)},
        int8="before op one two",
    ),
    "Split, one part is an output": Case(
        text="net (float[N, 3, 10, 10] x) => (float[A, B, C, D] y, float[E, F, G, H] c) { "
        "[before] a = Conv (x, v) [op] b, c = Split <axis = 1> (a) [one] y = Conv (b, w1) }",
        weights={"v": (6, 3, 3, 3), "w1": (4, 3, 3, 3)},
        int8="before op one",
    ),
    "Squeeze and Unsqueeze": Case(
        text="net (float[1, 3, 10, 10] x) => (float[A, B, C, D] y) { [before] a = Conv (x, v) "
        "[squeeze] b = Squeeze (a, zero) [unsqueeze] c = Unsqueeze (b, zero) [after] y = Conv (c, w) }",
        weights={**CONVOLVED, "zero": ints(0)},
        int8="before squeeze unsqueeze after",
    ),
    "Flatten": Case(
        text="net (float[N, 3, 6, 6] x) => (float[N, 7] y) { [before] a = Conv (x, v) [op] b = Flatten (a) "
        "[after] y = Gemm (b, w) }",
        weights={"v": (4, 3, 3, 3), "w": (64, 7)},
        int8="before op after",
    ),
    "DepthToSpace": Case(
        text="net (float[N, 3, 6, 6] x) => (float[N, 5, 12, 12] y) { [before] a = Conv (x, v) "
        "[op] b = DepthToSpace <blocksize = 2> (a) [after] y = Conv (b, w) }",
        weights={"v": (8, 3, 1, 1), "w": (5, 2, 1, 1)},
        int8="before op after",
    ),
    "SpaceToDepth": Case(
        text="net (float[N, 3, 6, 6] x) => (float[N, 5, 3, 3] y) { [before] a = Conv (x, v) "
        "[op] b = SpaceToDepth <blocksize = 2> (a) [after] y = Conv (b, w) }",
        weights={"v": (2, 3, 1, 1), "w": (5, 8, 1, 1)},
        int8="before after",
    ),
    "Expand": after("y = Expand (a, to)", out=FOUR, both=False, to=ints(2, 4, 10, 10)),
    "Tile": amid("b = Tile (a, times)", times=ints(1, 1, 2, 1), openvino=False),
    "GatherElements": amid(
        "b = GatherElements <axis = 2> (a, rows)",
        batch=1,
        both=False,
        rows=np.zeros((1, 4, 10, 10), np.int64),
    ),
    "Resize, nearest, by a factor": amid(
        'b = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> '
        "(a, roi, factor)",
        roi=NONE,
        factor=np.float32([1, 1, 2, 2]),
    ),
    "Resize, nearest, to a size": amid(
        'b = Resize <mode = "nearest"> (a, roi, roi, to)', batch=1, roi=NONE, to=ints(1, 4, 15, 7)
    ),
    "Resize, linear": amid(
        'b = Resize <mode = "linear"> (a, roi, factor)', both=False, roi=NONE, factor=np.float32([1, 1, 2, 2])
    ),
    "Resize, cubic": amid(
        'b = Resize <mode = "cubic"> (a, roi, factor)', both=False, roi=NONE, factor=np.float32([1, 1, 2, 2])
    ),
    **{
        f"Pad, {mode}": amid(
            f'b = Pad <mode = "{mode}"> (a, pads)', both=False, pads=ints(0, 0, 1, 2, 0, 0, 3, 4)
        )
        for mode in ("edge", "reflect")
    },
    # narrower than the kernel, into which it is folded: OpenVINO runs a window of nothing but padding in float
    "Pad with zeros": amid("b = Pad (a, pads)", both=False, pads=ints(0, 0, 1, 2, 0, 0, 2, 1)),
    "Pad with a number": amid(
        "b = Pad (a, pads, fill)", both=False, pads=ints(0, 0, 1, 2, 0, 0, 3, 4), fill=np.float32(3.75)
    ),
    "Pad that also crops": amid("b = Pad (a, pads)", both=False, pads=ints(0, 0, -1, 2, 0, 0, 3, -2)),
    "Pad at the end": after("y = Pad (a, pads)", out=FOUR, both=False, pads=ints(0, 0, 1, 2, 0, 0, 3, 4)),
}

ARITHMETIC = {
    **{
        f"{op} of two": Case(
            text="net (float[N, 3, 10, 10] x) => (float[A, B, C, D] y) { "
            "[left] a = Conv (x, v) [right] b = Conv (x, u) "
            f"{'[positive] p = Softplus (b) [op] c = Div (a, p)' if op == 'Div' else f'[op] c = {op} (a, b)'} "
            "[after] y = Conv (c, w) }",
            weights={**CONVOLVED, "u": (4, 3, 3, 3)},
            int8=f"left right after{there}",
            openvino=f"left right after{elsewhere}",
            fallen="op" if op == "Mul" else "",
        )
        for op, there, elsewhere in (
            ("Add", " op", " op"),
            ("Mul", " op", ""),
            ("Sub", "", " op"),
            ("Div", "", ""),
        )
    },
    "Add of a number": amid("b = Add (a, number)", both=False, number=np.float32(0.3)),
    "Mul by a channel": amid(
        "b = Mul (a, factors)", both=False, factors=np.float32([[[0.1]], [[2]], [[1]], [[3]]])
    ),
    "Add of a constant map": amid(
        "b = Add (a, map)",
        batch=1,
        map=np.random.default_rng(0).normal(size=(1, 4, 10, 10)).astype(np.float32),
    ),
    "Sum of three": amid("b = Sum (a, a, a)", both=False),
    "Min and Max": amid(
        "m = Max (a, low) [least] b = Min (m, high)", both=False, low=np.float32(-1), high=np.float32(1)
    ),
    "Where": amid(
        "b = Where (mask, a, other)", both=False, mask=np.eye(10, dtype=bool), other=np.float32(0.5)
    ),
    "Concat": Case(
        text="net (float[N, 3, 10, 10] x) => (float[A, B, C, D] y) { [left] a = Conv (x, v) [right] b = Conv (x, u) "
        "[op] c = Concat <axis = 1> (a, b) [after] y = Conv (c, w) }",
        weights={"v": (4, 3, 3, 3), "u": (2, 3, 3, 3), "w": (5, 6, 3, 3)},
        int8="left right op after",
    ),
    "Concat with a constant": Case(
        text=f"{_before(1, FOUR)} [op] b = Concat <axis = 2> (a, map) [after] y = Conv (b, w) }}",
        weights={**CONVOLVED, "map": np.float32(np.linspace(-1, 1, 40).reshape(1, 4, 1, 10))},
        int8="before op after",
        openvino="before",
    ),
}

FUNCTIONS = {
    "Relu": amid("b = Relu (a)", both=False),
    "Clip": amid("b = Clip (a, low, high)", both=False, low=np.float32(0), high=np.float32(6)),
    "Clip on both sides": amid(
        "b = Clip (a, low, high)", both=False, low=np.float32(-0.5), high=np.float32(0.5)
    ),
    "Clip away from zero": amid(
        "b = Clip (a, low, high)", both=False, low=np.float32(0.5), high=np.float32(1)
    ),
    "LeakyRelu": amid("b = LeakyRelu <alpha = 0.1> (a)"),
    "Sigmoid": amid("b = Sigmoid (a)"),
    "PRelu": amid("b = PRelu (a, slope)", both=False, slope=np.float32([[[0.1]], [[0.2]], [[0.3]], [[0.4]]])),
    **{
        op: amid(f"b = {op} (a)", both=False)
        for op in ("Elu", "Selu", "Tanh", "Softplus", "Erf", "Exp", "Abs", "Neg", "Sin", "Cos")
    },
    "HardSwish": amid("b = HardSwish (a)", both=False),
    "HardSigmoid": amid("b = HardSigmoid (a)", both=False),
    "Softmax": after("y = Softmax <axis = 1> (a)", out=FOUR, both=False),
    "LogSoftmax": after("y = LogSoftmax <axis = 1> (a)", out=FOUR, both=False),
    "ArgMax": after("y = ArgMax <axis = 1, keepdims = 0> (a)", out="int64[A, B, C]", openvino=False),
    "TopK": Case(
        text="net (float[N, 3, 6, 6] x) => (float[A, B, C, D] y, int64[E, F, G, H] i) { [before] a = Conv (x, v) "
        "[op] y, i = TopK <axis = 1> (a, k) }",
        weights={"v": (8, 3, 3, 3), "k": ints(3)},
        int8="before",
    ),
    "AveragePool": amid("b = AveragePool <kernel_shape = [3, 3], strides = [2, 2]> (a)"),
    "GlobalAveragePool": Case(
        text="net (float[N, 3, 10, 10] x) => (float[A, B, C, D] y) { [before] a = Conv (x, v) "
        "[op] b = GlobalAveragePool (a) [after] y = Conv (b, w) }",
        weights={"v": (4, 3, 3, 3), "w": (5, 4, 1, 1)},
        int8="before op after",
    ),
    "ReduceMean": amid(
        "m = ReduceMean <axes = [1], keepdims = 1> (a) [widen] b = Expand (m, to)",
        batch=1,
        openvino=True,
        both=False,
        to=ints(1, 4, 10, 10),
    ),
}

NORMS = {
    "BatchNormalization is folded": Case(
        text="net (float[N, 3, 10, 10] x) => (float[A, B, C, D] y) { [conv] a = Conv (x, v) "
        "[norm] b = BatchNormalization (a, scale, bias, mean, var) [relu] c = Relu (b) [after] y = Conv (c, w) }",
        weights={**CONVOLVED, "scale": (4,), "bias": (4,), "mean": (4,), "var": np.float32([1, 2, 3, 0.5])},
        int8="conv after",
    ),
    "InstanceNormalization": amid(
        "b = InstanceNormalization (a, scale, shift)",
        both=False,
        scale=np.float32([1, 2, 3, 0.5]),
        shift=np.float32([0, 1, -1, 2]),
    ),
    "LayerNormalization": amid(
        "b = LayerNormalization <axis = -1> (a, scale, shift)",
        both=False,
        scale=np.ones(10, np.float32),
        shift=np.zeros(10, np.float32),
    ),
    "GroupNormalization": Case(
        text="net (float[N, 3, 10, 10] x) => (float[A, B, C, D] y) { [conv] a = Conv (x, v) "
        "[norm] b = GroupNormalization <num_groups = 2> (a, scale, bias) [after] y = Conv (b, w) }",
        weights={**CONVOLVED, "scale": np.float32([1, 2, 3, 0.5]), "bias": np.float32([0, 1, -1, 2])},
        opset=21,
        int8="conv after",
    ),
    "LpNormalization": amid("b = LpNormalization <axis = 1, p = 2> (a)", both=False),
}

OPERATORS = {**MOVERS, **ARITHMETIC, **FUNCTIONS, **NORMS}
