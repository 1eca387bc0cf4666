"""Steps that move values, choose among them, or wrap others."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from tests.fuzz.graph import Growing, Style, Tensor, require
from tests.fuzz.steps import Step, activation, arithmetic, vector, weight


def concat(g: Growing, x: Tensor) -> None:
    require(x.rank)
    axis = int(g.rng.integers(x.rank))
    fitting = [
        t
        for t in (*g.inputs, *g.made)
        if t.dtype == x.dtype
        and t.rank == x.rank
        and all(i == axis or a == b for i, (a, b) in enumerate(zip(t.shape, x.shape, strict=True)))
    ]
    parts: list[str | Tensor] = [x, *(g.pick(fitting) for _ in range(g.pick((1, 1, 1, 2))))]
    if g.chance(0.15):
        parts.append(g.constant(g.rng.normal(size=x.shape).astype(x.dtype)))
    if g.chance(0.3):
        parts.reverse()
    g.add("Concat", parts, axis=axis - x.rank if g.opset >= 11 and g.chance(0.3) else axis)


def split(g: Growing, x: Tensor) -> None:
    require(x.rank)
    axis = int(g.rng.integers(x.rank))
    size = x.shape[axis]
    require(size >= 2)
    first = int(g.rng.integers(1, size))
    even = size % 2 == 0 and g.chance(0.5)
    parts = [size // 2] * 2 if even else [first, size - first]
    if g.opset < 13:
        g.add("Split", [x], 2, axis=axis, split=None if even else parts)
    elif even:
        g.add("Split", [x], 2, axis=axis, num_outputs=2 if g.opset >= 18 else None)
    else:
        g.add("Split", [x, g.integers(*parts)], 2, axis=axis)


def slice_(g: Growing, x: Tensor) -> None:
    require(x.rank)
    axis = int(g.rng.integers(x.rank))
    start, end = g.pick(((0, 1), (1, 2**31), (-2, 2**31), (0, -1), (0, 2**31)))
    if g.opset < 10:
        g.add("Slice", [x], axes=[axis], starts=[start], ends=[end])
        return
    step = g.pick(((), (), (1,), (2,)))
    if g.chance(0.1):
        start, end, step = -1, -(2**31), (-1,)
    g.add("Slice", [x, g.integers(start), g.integers(end), g.integers(axis), *(g.integers(s) for s in step)])


def gather(g: Growing, x: Tensor) -> None:
    require(x.rank)
    axis = int(g.rng.integers(x.rank))
    shape = g.pick(((), (1,), (2,), (3,), (2, 2)))
    low = -x.shape[axis] if g.opset >= 11 else 0
    indices = g.rng.integers(low, x.shape[axis], shape)
    g.add("Gather", [x, g.constant(np.asarray(indices, np.int64))], axis=axis)


def embedding(g: Growing, x: Tensor) -> None:
    """Rows of a table, by integers from the input."""
    found = [t for t in g.inputs if t.dtype == np.int64]
    require(found)
    rows = g.pick((16, 40))
    (y,) = g.add("Gather", [g.constant(weight(g, (rows, g.pick((4, 8))), 1)), g.pick(found)])
    if x.rank and x.shape[-1:] == y.shape[-1:]:
        g.add("Add", [y, x])


def reshape(g: Growing, x: Tensor) -> None:
    require(x.rank >= 1)
    forms = [
        (x.shape[0], -1),
        (0, -1),
        (-1, x.shape[-1]),
        (-1,),
        (0,) * x.rank,
        (1, *x.shape),
        (0, 1, -1) if x.rank > 1 else (-1, 1),
    ]
    if x.rank == 2:
        forms += [(0, -1, 1), (0, k, -1, 1)] if (k := 2) and x.shape[1] % 2 == 0 else []
    if x.rank in (3, 4):
        forms += [(0, 0, -1), (0, 0, -1, 1)]
    g.add("Reshape", [x, g.integers(*g.pick(forms))])


def computed_reshape(g: Growing, x: Tensor) -> None:
    """A shape that is computed from the input's, as torch's `view(x.size(0), -1)` is exported."""
    require(x.rank >= 2)
    (shape,) = g.add("Shape", [x])
    (first,) = g.add("Gather", [shape, g.constant(np.array(0, np.int64))], axis=0)
    if g.opset >= 13:
        (first,) = g.add("Unsqueeze", [first, g.integers(0)])
    else:
        (first,) = g.add("Unsqueeze", [first], axes=[0])
    rest = g.integers(int(np.prod(x.shape[1:])))
    (target,) = g.add("Concat", [first, rest], axis=0)
    found = Tensor(target.name, target.dtype, target.shape, np.array([x.shape[0], np.prod(x.shape[1:])]))
    g.add("Reshape", [x, found])


def shaping(g: Growing, x: Tensor) -> None:
    match g.pick(
        ("Transpose", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "DepthToSpace", "SpaceToDepth")
    ):
        case "Transpose":
            g.add(
                "Transpose", [x], perm=None if g.chance(0.2) else [int(i) for i in g.rng.permutation(x.rank)]
            )
        case "Flatten":
            axis = g.pick((1, 1, 1, 0, x.rank))
            g.add("Flatten", [x], axis=None if axis == 1 else axis)
        case "Squeeze":
            axes = [i for i, s in enumerate(x.shape) if s == 1][:1]
            require(axes)
            _axes(g, "Squeeze", x, axes)
        case "Unsqueeze":
            require(x.rank <= 4)
            _axes(g, "Unsqueeze", x, [int(g.rng.integers(x.rank + 1))])
        case op_type:
            require(x.rank == 4)
            g.add(
                op_type,
                [x],
                blocksize=2,
                mode=g.pick(("DCR", "CRD")) if op_type[0] == "D" and g.opset >= 11 else None,
            )


def _axes(
    g: Growing, op_type: str, x: Tensor, axes: list[int], since: int = 13, **attributes: object
) -> list[Tensor]:
    if g.opset < since:
        return g.add(op_type, [x], axes=axes, **attributes)
    return g.add(op_type, [x, g.integers(*axes)], **attributes)


def reduce(g: Growing, x: Tensor) -> None:
    require(x.rank)
    op_type = g.pick(
        ("ReduceMean",) * 4
        + ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp")
    )
    count = int(g.rng.integers(1, x.rank + 1))
    axes = sorted(int(i) for i in g.rng.permutation(x.rank)[:count])
    keep = g.pick((None, 0, 1))
    if g.chance(0.1):
        g.add(op_type, [x], keepdims=keep)
    else:
        _axes(g, op_type, x, axes, 13 if op_type == "ReduceSum" else 18, keepdims=keep)


def pad(g: Growing, x: Tensor) -> None:
    require(x.rank)
    mode = g.pick(("constant", "constant", "reflect", "edge"))
    sizes = [min(int(g.pick((0, 0, 1, 2))), s - 1 if mode == "reflect" else 9) for s in x.shape * 2]
    if mode != "constant":
        sizes = [0 if i % x.rank < 2 else s for i, s in enumerate(sizes)]
    value = g.pick((0.0, 0.0, 1.5))
    if g.opset < 11:
        g.add("Pad", [x], pads=sizes, mode=mode, value=value)
    else:
        extra = [g.constant(np.array(value, x.dtype))] if value else []
        g.add("Pad", [x, g.integers(*sizes), *extra], mode=mode)


def resize(g: Growing, x: Tensor) -> None:
    require(x.rank in (3, 4))
    factor, mode = g.pick((2.0, 0.5, 1.5)), g.pick(("nearest", "nearest", "linear", "cubic"))
    require(mode != "cubic" or x.rank == 4)
    scales = g.constant(np.array([1.0, 1.0, *[factor] * (x.rank - 2)], np.float32), shared=False)
    if g.opset < 9:
        require(mode != "cubic" and factor >= 1)
        g.add("Upsample", [x], mode=mode, scales=[1.0, 1.0, *[factor] * (x.rank - 2)])
    elif g.opset < 11:
        require(mode != "cubic" and (g.opset == 10 or factor >= 1))
        g.add("Upsample" if g.opset == 9 else "Resize", [x, scales], mode=mode)
    else:
        form = g.pick((None, "asymmetric", "align_corners", "pytorch_half_pixel"))
        roi = "" if g.opset >= 13 else g.constant(np.zeros(0, np.float32), shared=False)
        g.add("Resize", [x, roi, scales], mode=mode, coordinate_transformation_mode=form)


def repeat(g: Growing, x: Tensor) -> None:
    require(x.rank)
    match g.pick(("Expand", "Tile", "Identity", "Dropout", "CumSum", "TopK", "Trilu")):
        case "Expand":
            require(g.opset >= 8)
            g.add("Expand", [x, g.integers(*(3 if s == 1 and g.chance(0.5) else s for s in x.shape))])
        case "Tile":
            g.add("Tile", [x, g.integers(*(g.pick((1, 1, 2)) for _ in x.shape))])
        case "Identity":
            g.add("Identity", [x])
        case "Dropout":
            g.add("Dropout", [x], g.pick((1, 1, 2)))
        case "CumSum":
            g.add("CumSum", [x, g.constant(np.array(g.pick((0, -1)), np.int64))])
        case "Trilu":
            g.add("Trilu", [x])
        case "TopK":
            k = g.pick((1, 2))
            require(x.shape[-1] >= k)
            attribute = g.opset < 10
            g.add(
                "TopK",
                [x] if attribute else [x, g.integers(k)],
                2,
                axis=-1 if g.opset > 9 else x.rank - 1,
                k=k if attribute else None,
            )


def cast(g: Growing, x: Tensor) -> None:
    other = g.pick(
        (onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT32, onnx.TensorProto.FLOAT)
    )
    (there,) = g.add("Cast", [x], to=other)
    g.add("Cast", [there], to=helper.np_dtype_to_tensor_dtype(g.dtype))


def choose(g: Growing, x: Tensor) -> None:
    """Where, by a comparison or by a constant."""
    require(g.opset >= 9 and x.rank)
    if g.chance(0.7):
        condition: str | Tensor = g.add("Greater", [x, g.constant(np.array(0.0, x.dtype))])[0]
    else:
        condition = g.constant(g.rng.random(x.shape[-1:]) < 0.5)
    other = g.like(x) or g.constant(np.array(g.pick((0.0, -1.0, -1e4)), x.dtype))
    g.add("Where", [condition, x, other])


def arg_max(g: Growing, x: Tensor) -> None:
    require(x.rank)
    g.add(g.pick(("ArgMax", "ArgMin")), [x], axis=int(g.rng.integers(x.rank)), keepdims=g.pick((0, 1)))


def branch(g: Growing, x: Tensor) -> None:
    """If, by the data or by a constant; both bodies read the tensor from outside."""
    if g.chance(0.3):
        condition = g.constant(np.array(g.chance(0.5)))
    else:
        flat = g.add("Reshape", [x, g.integers(-1)])[0]
        largest = _axes(g, "ReduceMax", flat, [0], 18, keepdims=0)[0]
        condition = g.add("Greater", [largest, g.constant(np.array(0.0, x.dtype))])[0].name
    bodies = [_body(g, x, step) for step in (activation, g.pick((activation, _scaled)))]
    require(bodies[0][1] == bodies[1][1])
    (result,) = (Tensor(g.name(), x.dtype, bodies[0][1]),)
    g.nodes.append(
        helper.make_node(
            "If",
            [condition],
            [result.name],
            g.name("/if"),
            then_branch=bodies[0][0],
            else_branch=bodies[1][0],
        )
    )
    g.made.append(result)


def _scaled(g: Growing, x: Tensor) -> None:
    require(x.rank)
    g.add("MatMul", [x, g.constant(weight(g, (x.shape[-1],) * 2, x.shape[-1]))])
    if g.chance(0.5):
        g.add("Add", [g.made[-1], vector(g, x.shape[-1])])


def _body(g: Growing, x: Tensor, step: Step) -> tuple[onnx.GraphProto, tuple[int, ...]]:
    inner = Growing(g.rng, g.opset, g.dtype, Style(g.style.names, g.style.named_nodes), outer=g)
    step(inner, x)
    last = inner.made[-1]
    output = helper.make_tensor_value_info(
        last.name, helper.np_dtype_to_tensor_dtype(last.dtype), last.shape if g.chance(0.7) else None
    )
    return helper.make_graph(inner.nodes, g.name("/body"), [], [output], inner.initializers), last.shape


def scan(g: Growing, x: Tensor) -> None:
    """A product with each row in turn."""
    require(g.opset >= 9 and x.rank >= 2)
    inner = Growing(g.rng, g.opset, g.dtype, Style(g.style.names, g.style.named_nodes), outer=g)
    element = helper.np_dtype_to_tensor_dtype(x.dtype)
    row = Tensor(inner.name(), x.dtype, x.shape[1:])
    inner.inputs.append(row)
    g.pick((_scaled, activation))(inner, row)
    last = inner.made[-1]
    body = helper.make_graph(
        inner.nodes,
        "body",
        [helper.make_tensor_value_info(row.name, element, row.shape)],
        [helper.make_tensor_value_info(last.name, element, last.shape)],
        inner.initializers,
    )
    result = Tensor(g.name(), x.dtype, (x.shape[0], *last.shape))
    g.nodes.append(
        helper.make_node("Scan", [x.name], [result.name], g.name("/scan"), body=body, num_scan_inputs=1)
    )
    g.made.append(result)


MOVING: tuple[Step, ...] = (
    *(concat,) * 3, split, slice_, gather, embedding, *(reshape,) * 2, computed_reshape,
    *(shaping,) * 3, *(reduce,) * 2, pad, resize, repeat, cast, choose, branch,
    arithmetic, arg_max, scan,
)  # fmt: skip
