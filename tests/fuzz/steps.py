"""What a graph grows by: each step reads a tensor and adds a node or a few, with attributes as they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fuzz.graph import Array, Growing, Tensor, UnfitError, require

Step = Callable[[Growing, Tensor], object]


def weight(g: Growing, shape: tuple[int, ...], inputs: int) -> Array:
    """Normal noise that keeps magnitudes about as they are, with the odd channels and outliers of real weights."""
    array = g.rng.normal(size=shape) / np.sqrt(max(inputs, 1)) * 10 ** g.rng.normal(0, 0.3)
    first = array.reshape(shape[0], -1) if array.ndim else array
    match g.pick(
        ("plain",) * 6
        + ("channels", "outlier", "zero channel", "positive", "odd scale", "constant", "sparse")
    ):
        case "channels":
            first *= 2.0 ** g.rng.normal(0, 2, (shape[0], 1))
        case "outlier":
            first.flat[int(g.rng.integers(first.size))] *= 30
        case "zero channel":
            first[int(g.rng.integers(shape[0]))] = 0
        case "positive":
            array = np.abs(array)
        case "odd scale" if g.dtype != np.float16:
            array = array * 10.0 ** g.rng.uniform(-5, 3)
        case "constant":
            array = np.full(shape, float(array.flat[0]))
        case "sparse":
            array = array * (g.rng.random(shape) < 0.2)
    return array.reshape(shape).astype(g.dtype)


def vector(g: Growing, size: int, scale: float = 0.5) -> str:
    return g.constant((scale * g.rng.normal(size=size)).astype(g.dtype))


def conv(g: Growing, x: Tensor) -> None:
    require(3 <= x.rank <= 5)
    channels, space = x.shape[1], x.shape[2:]
    group = g.pick([k for k in (1, 1, 1, 2, channels) if channels % k == 0])
    out = group * int(g.rng.integers(1, 5))
    window = _window(g, space)
    bias = [vector(g, out)] if g.chance(0.6) else []
    w = weight(
        g,
        (out, channels // group, *window["kernel_shape"]),
        channels // group * int(np.prod(window["kernel_shape"])),
    )
    if g.chance(0.5):
        del window["kernel_shape"]
    g.add("Conv", [x, g.constant(w), *bias], group=group if group > 1 or g.chance(0.3) else None, **window)


def conv_transpose(g: Growing, x: Tensor) -> None:
    require(3 <= x.rank <= 4)
    channels, space = x.shape[1], x.shape[2:]
    group = g.pick([k for k in (1, 1, 2, channels) if channels % k == 0])
    kernel = [int(g.rng.integers(1, 4)) for _ in space]
    strides = [int(g.rng.integers(1, 3)) for _ in space]
    bias_size = group * int(g.rng.integers(1, 4))
    w = weight(g, (channels, bias_size // group, *kernel), channels)
    given: dict[str, object] = {"strides": strides, "group": group}
    if g.chance(0.3):
        given["pads"] = [int(g.rng.integers(0, 2)) for _ in space] * 2
    if g.chance(0.3):
        given["output_padding"] = [int(g.rng.integers(0, s)) for s in strides]
    if g.chance(0.3):
        given["dilations"] = [int(g.rng.integers(1, 3)) for _ in space]
    if g.chance(0.1):
        given = {
            "strides": strides,
            "group": group,
            "auto_pad": g.pick(("SAME_UPPER", "SAME_LOWER", "VALID")),
        }
    bias = [vector(g, bias_size)] if g.chance(0.6) else []
    g.add("ConvTranspose", [x, g.constant(w), *bias], **given)


def _window(g: Growing, space: tuple[int, ...], pool: bool = False) -> dict[str, Any]:
    kernel = [int(g.rng.integers(1, min(3, s) + 1)) for s in space]
    found: dict[str, Any] = {"kernel_shape": kernel}
    if g.chance(0.5):
        found["strides"] = [int(g.rng.integers(1, 4)) for _ in space]
    if not pool and g.chance(0.3):
        found["dilations"] = [
            g.pick((1, 2)) if (k - 1) * 2 < s else 1 for k, s in zip(kernel, space, strict=True)
        ]
    if g.chance(0.4):
        most = [min(k - 1, 2) if pool else 2 for k in kernel]
        found["pads"] = [int(g.rng.integers(0, m + 1)) for m in (*most, *most)]
    elif g.chance(0.2) and "dilations" not in found:
        found["auto_pad"] = g.pick(("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"))
    return found


def pool(g: Growing, x: Tensor) -> None:
    require(3 <= x.rank <= 5)
    op_type = g.pick(("MaxPool", "AveragePool"))
    given = _window(g, x.shape[2:], pool=True)
    if g.opset >= 10 and g.chance(0.2):
        given["ceil_mode"] = 1
    if op_type == "AveragePool" and g.chance(0.4):
        given["count_include_pad"] = 1
    if g.opset >= (10 if op_type == "MaxPool" else 19) and g.chance(0.1) and "auto_pad" not in given:
        sizes = zip(given["kernel_shape"], x.shape[2:], strict=True)
        given["dilations"] = [g.pick((1, 2)) if (k - 1) * 2 < s else 1 for k, s in sizes]
    g.add(op_type, [x], **given)


def global_pool(g: Growing, x: Tensor) -> None:
    require(3 <= x.rank <= 5)
    g.add(g.pick(("GlobalAveragePool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")), [x])


def gemm(g: Growing, x: Tensor) -> None:
    require(x.rank == 2)
    across, down = g.chance(0.1), g.chance(0.5)
    k, out = x.shape[0 if across else 1], g.pick((1, 2, 3, 5, 8, 16, 40))
    w = weight(g, (out, k) if down else (k, out), k)
    extra = [] if g.opset >= 11 and g.chance(0.3) else [_gemm_bias(g, x.shape[1 if across else 0], out)]
    given = {"transA": int(across) or None, "transB": int(down) or None}
    if g.chance(0.2):
        given |= {"alpha": g.pick((0.5, 2.0, -1.0)), "beta": g.pick((0.0, 1.0, 0.25))}
    g.add("Gemm", [x, g.constant(w), *extra], **given)


def _gemm_bias(g: Growing, rows: int, columns: int) -> str:
    shape = g.pick(((columns,),) * 6 + ((1, columns), (1,), (), (rows, columns)))
    return g.constant(g.rng.normal(size=shape).astype(g.dtype).reshape(shape))


def matmul(g: Growing, x: Tensor) -> None:
    require(x.rank >= 1)
    k, out = x.shape[-1], g.pick((1, 2, 3, 4, 8, 16, 40))
    batch = x.shape[:-2] if x.rank > 2 and g.chance(0.1) else ()
    (y,) = g.add("MatMul", [x, g.constant(weight(g, (*batch, k, out), k))])
    if g.chance(0.5) and y.rank:
        g.add("Add", g.pick(([y, vector(g, out)],) * 3 + ([vector(g, out), y],)))


def activations_product(g: Growing, x: Tensor) -> None:
    """The scores of attention, and what is mixed by them."""
    require(x.rank >= 2)
    perm = [*range(x.rank - 2), x.rank - 1, x.rank - 2]
    (turned,) = g.add("Transpose", [g.like(x) or x], perm=perm)
    (scores,) = g.add("MatMul", [x, turned])
    if g.chance(0.7):
        scale = g.constant(np.array(1 / np.sqrt(x.shape[-1]), g.dtype))
        (scores,) = g.add(g.pick(("Mul", "Div")), [scores, scale])
        (scores,) = g.add("Softmax", [scores], axis=x.rank - 1)
    if g.chance(0.7):
        g.add("MatMul", [scores, x])


def arithmetic(g: Growing, x: Tensor) -> None:
    op_type = g.pick(("Add", "Add", "Mul", "Sub", "Div", "Max", "Min", "Sum", "Mean", "Pow", "PRelu"))
    other = g.like(x)
    if other is not None and op_type in ("Add", "Mul", "Sub", "Max", "Min", "Sum", "Mean") and g.chance(0.8):
        g.add(op_type, g.pick(([x, other], [other, x])))
        return
    shape = g.pick(
        [
            (),
            (1,),
            x.shape,
            (1,) * x.rank,
            tuple(s if i == 1 else 1 for i, s in enumerate(x.shape)),
            x.shape[-1:],
        ]
    )
    array = g.rng.normal(size=shape) * 10 ** g.rng.normal(0, 0.5)
    if op_type == "Div":
        array = np.sign(array) * np.maximum(np.abs(array), 0.1)
    if op_type == "Pow":
        array = np.asarray(g.pick((2.0, 3.0, 1.0)))
    constant = g.constant(array.astype(g.dtype).reshape(shape if op_type != "Pow" else ()))
    if op_type in ("Add", "Mul", "Sub", "Max", "Min") and g.chance(0.3):
        g.add(op_type, [constant, x])
    else:
        g.add(op_type, [x, constant])


def itself(g: Growing, x: Tensor) -> None:
    g.add(g.pick(("Add", "Mul", "Sub", "Max")), [x, x])


def activation(g: Growing, x: Tensor) -> None:
    op_type = g.pick(
        ("Relu",) * 5
        + ("Sigmoid", "Tanh", "LeakyRelu", "Elu", "Selu", "HardSigmoid", "HardSwish", "Gelu", "Erf", "Softplus")
        + ("Softsign", "Abs", "Neg", "ThresholdedRelu", "Celu", "Mish", "Swish", "Sin", "Floor", "Sign")
        + ("Reciprocal", "Sqrt", "Exp")
    )  # fmt: skip
    given: dict[str, object] = {}
    if op_type in ("LeakyRelu", "Elu", "Celu") and g.chance(0.5):
        given["alpha"] = g.pick((0.2, 1.0, 0.01))
    if op_type == "Gelu":
        given["approximate"] = g.pick(("none", "tanh"))
    if op_type in ("Sqrt", "Reciprocal"):
        (x,) = g.add("Abs", [x])
        (x,) = g.add("Add", [x, g.constant(np.array(0.5, g.dtype))])
    if op_type == "Exp":
        (x,) = g.add("Tanh", [x])
    g.add(op_type, [x], **given)


def clip(g: Growing, x: Tensor) -> None:
    lo, hi = g.pick(
        ((0.0, 6.0), (-1.0, 1.0), (0.0, 1.0), (-3.0, 0.5), (1.0, 2.0), (0.0, None), (None, 2.0), (None, None))
    )
    if g.opset < 11:
        g.add("Clip", [x], min=lo, max=hi)
        return
    bounds = ["" if b is None else g.constant(np.array(b, g.dtype)) for b in (lo, hi)]
    while bounds and not bounds[-1]:
        bounds.pop()
    g.add("Clip", [x, *bounds])


def gated(g: Growing, x: Tensor) -> None:
    """SiLU and its kin, written in parts."""
    (gate,) = g.add(g.pick(("Sigmoid", "HardSigmoid", "Tanh", "Erf")), [x])
    if g.chance(0.3):
        (gate,) = g.add("Add", [gate, g.constant(np.array(1.0, g.dtype))])
    g.add("Mul", g.pick(([x, gate], [gate, x])))


def softmax(g: Growing, x: Tensor) -> None:
    axis = int(g.rng.integers(-x.rank, x.rank)) if g.opset >= 11 else int(g.rng.integers(0, x.rank))
    g.add(g.pick(("Softmax", "Softmax", "LogSoftmax", "Hardmax")), [x], axis=axis if g.chance(0.8) else None)


def batch_norm(g: Growing, x: Tensor) -> None:
    require(2 <= x.rank <= 5)
    c = x.shape[1]
    scale, bias, mean = (g.constant(g.rng.normal(m, 0.4, c).astype(g.dtype)) for m in (1, 0, 0))
    variance = g.constant((g.rng.random(c) * 2 + 0.05).astype(g.dtype))
    g.add("BatchNormalization", [x, scale, bias, mean, variance], epsilon=g.pick((None, 1e-3)))


def norm(g: Growing, x: Tensor) -> None:
    require(x.rank >= 2)
    op_type = g.pick(
        (
            "LayerNormalization",
            "InstanceNormalization",
            "GroupNormalization",
            "RMSNormalization",
            "LpNormalization",
        )
    )
    if op_type == "LpNormalization":
        g.add(op_type, [x], p=g.pick((1, 2)), axis=g.pick((-1, 1)))
        return
    if op_type in ("LayerNormalization", "RMSNormalization"):
        inputs = [x, g.constant(g.rng.normal(1, 0.3, x.shape[-1:]).astype(g.dtype))]
        if op_type == "LayerNormalization" and g.chance(0.7):
            inputs.append(vector(g, x.shape[-1]))
        g.add(op_type, inputs, axis=g.pick((-1, None)))
        return
    require(x.rank >= 3)
    groups = {"num_groups": g.pick([k for k in (1, 2, x.shape[1]) if x.shape[1] % k == 0])}
    size = groups["num_groups"] if op_type == "GroupNormalization" and g.opset < 21 else x.shape[1]
    g.add(
        op_type,
        [x, vector(g, size, 1.0), vector(g, size)],
        **(groups if op_type == "GroupNormalization" else {}),
    )


COMPUTING: tuple[Step, ...] = (
    *(conv,) * 5, conv_transpose, *(pool,) * 2, global_pool, *(gemm,) * 4, *(matmul,) * 4, activations_product,
    *(arithmetic,) * 4, itself, *(activation,) * 5, clip, gated, softmax, batch_norm, norm,
)  # fmt: skip

WEIGHTED: tuple[Step, ...] = (conv, conv, gemm, matmul, conv_transpose)

__all__ = ["COMPUTING", "WEIGHTED", "Step", "UnfitError", "vector", "weight"]
