"""Random models that are valid, each made from a few numbers, so that any can be made again and made smaller."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import helper

from tests.fuzz.graph import FLOATS, Array, Growing, Style, Tensor, UnfitError
from tests.fuzz.moving import MOVING
from tests.fuzz.steps import COMPUTING, WEIGHTED

NAMES: tuple[tuple[str, ...], ...] = (
    ("t{}",), ("t{}",), ("/layer{}/Conv_output_0",), ("{}",), ("block.{}.weight",), ("x{}:0",), ("größe {}",),
    ("t{}", "t{}_q", "t{}/scale", "t{}_dq", "t{}_quantized"), ("τ{}\n",), ("a{}/../b",),
)  # fmt: skip
OPSETS = range(7, 26)
_SYMBOLS: tuple[object, ...] = ("N", None, -1, 0)


@dataclass(frozen=True)
class Draft:
    """What a model is made from: a seed for what surrounds the graph, and one for each step that it grows by."""

    frame: int
    steps: tuple[int, ...]


drafts = st.builds(
    Draft,
    frame=st.integers(0, 2**32 - 1),
    steps=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=8).map(tuple),
)


@dataclass(frozen=True)
class Drawn:
    """A model, and samples for it."""

    model: onnx.ModelProto
    samples: list[dict[str, Array]]


def build(draft: Draft) -> Drawn | None:
    """The model of a draft; None where no step fits."""
    frame = np.random.default_rng(draft.frame)
    g = Growing(frame, opset=int(frame.integers(OPSETS.start, OPSETS.stop)))
    g.dtype = g.pick((FLOATS[0],) * 12 + FLOATS[1:])
    constant_nodes = g.pick((0.0, 0.1, 0.5))
    g.style = Style(g.pick(NAMES), g.chance(0.8), g.chance(0.15), constant_nodes, shared=0.2)
    symbols = g.pick(((), (), ("batch",), ("batch", "space")))
    g.inputs = _inputs(
        g, 1 if symbols else g.pick((1, 1, 2, 3))
    )  # data for an open batch are cut into samples of 1
    for seed in draft.steps:
        g.rng = np.random.default_rng(seed)
        _grow(g)
    if not g.made:
        return None
    g.rng = np.random.default_rng((draft.frame, 1))
    model = _model(g, symbols)
    g.rng = np.random.default_rng((draft.frame, 2))
    recipes = [_Values.drawn(g) for _ in g.inputs]
    samples = [{t.name: v.array(g, t) for t, v in zip(g.inputs, recipes, strict=True)} for _ in range(4)]
    return Drawn(model, samples)


def _grow(g: Growing) -> None:
    for _ in range(6):
        step = g.pick(WEIGHTED if not g.made and g.chance(0.8) else COMPUTING if g.chance(0.6) else MOVING)
        before = len(g.nodes), len(g.initializers), len(g.made), len(g.constants)
        try:
            step(g, g.source())
            return
        except UnfitError:
            for held, kept in zip((g.nodes, g.initializers, g.made, g.constants), before, strict=True):
                del held[kept:]  # type: ignore[attr-defined]


def _inputs(g: Growing, batch: int) -> list[Tensor]:
    rank = g.pick((2, 2, 3, 4, 4, 4, 4, 5, 1))
    channels = g.pick((1, 2, 3, 4, 8, 16))
    space = [g.pick((1, 3, 4, 5, 7)) for _ in range(max(rank - 2, 0))]
    inputs = [Tensor(g.name(), g.dtype, (batch, channels, *space)[:rank])]
    if g.chance(0.25):
        inputs.append(Tensor(g.name(), g.dtype, inputs[0].shape))
    if g.chance(0.15):
        inputs.insert(0, Tensor(g.name(), np.dtype(np.int64), (batch, 3)))
    return inputs


@dataclass(frozen=True)
class _Values:
    """Where the values of an input lie; the same in every sample."""

    scale: float
    offset: float
    kind: str

    @classmethod
    def drawn(cls, g: Growing) -> _Values:
        scale = 10 ** (g.rng.uniform(-2, 1) if g.dtype == np.float16 else g.rng.normal(0, 1.2))
        offset = scale * g.rng.normal(0, 3) if g.chance(0.3) else 0.0
        return cls(
            scale, offset, g.pick(("normal",) * 8 + ("positive", "zero", "constant", "sparse", "pixels"))
        )

    def array(self, g: Growing, tensor: Tensor) -> Array:
        if tensor.dtype == np.int64:
            return g.rng.integers(0, 16, tensor.shape)
        noise = g.rng.normal(size=tensor.shape)
        match self.kind:
            case "positive":
                noise = np.abs(noise)
            case "zero":
                noise = 0 * noise
            case "constant":
                noise = 0 * noise + 1
            case "sparse":
                noise = noise * (g.rng.random(tensor.shape) < 0.1)
            case "pixels" if self.offset == 0:
                return g.rng.integers(0, 256, tensor.shape).astype(tensor.dtype)
        return (self.scale * noise + self.offset).astype(tensor.dtype)


def _model(g: Growing, symbols: tuple[str, ...]) -> onnx.ModelProto:
    outputs = [g.made[-1]]
    outputs += [t for t in g.made[:-1] if g.chance(0.15)]
    read = {name for node in g.nodes for name in node.input}
    outputs += [t for t in g.made[:-1] if t.name not in read and t not in outputs and g.chance(0.8)]
    if g.chance(0.05):
        outputs.append(g.pick(g.inputs))
    g.rng.shuffle(outputs)  # type: ignore[arg-type]
    inputs = [_info(g, t, symbols) for t in g.inputs]
    if g.style.inputs_hold_constants:
        inputs += [
            _info(g, Tensor(i.name, helper.tensor_dtype_to_np_dtype(i.data_type), tuple(i.dims)), ())
            for i in g.initializers
        ]
    return helper.make_model(
        helper.make_graph(
            g.nodes,
            g.pick(("net", "main graph", "")) or "g",
            inputs,
            [_info(g, t, symbols, made=True) for t in outputs],
            g.initializers,
        ),
        opset_imports=[helper.make_opsetid("", g.opset)],
        ir_version=max(g.pick((4, 6, 8, 10)), 10 if g.opset > 20 else 4),
    )


def _info(g: Growing, tensor: Tensor, symbols: tuple[str, ...], *, made: bool = False) -> onnx.ValueInfoProto:
    """Declares the tensor: open where the model is, and an output's shape sometimes not at all."""
    element = helper.np_dtype_to_tensor_dtype(tensor.dtype)
    if made and (symbols or g.chance(0.3)):
        return helper.make_tensor_value_info(
            tensor.name, element, [f"{tensor.name}.{i}" for i in range(tensor.rank)]
        )
    shape: list[object] = list(tensor.shape)
    if "batch" in symbols and shape:
        shape[0] = g.pick(_SYMBOLS)
    if "space" in symbols:
        shape[2:] = [g.pick(_SYMBOLS[1:]) if g.chance(0.5) else f"s{i}" for i in range(len(shape) - 2)]
    return helper.make_tensor_value_info(tensor.name, element, shape)
