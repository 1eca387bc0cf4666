"""Evaluation gives the very codes that the runtimes' int8 kernels give, one layer at a time, with ties everywhere."""

import numpy as np
import onnx_ir as ir
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.graph.build import build
from tests.processor import OWN
from tinyint.graph.prepare import prepare as prepare_graph
from tinyint.numbers.numerics import INT8, UINT8
from tinyint.qat.export import export
from tinyint.qat.kernels.formulas import ELEMENTWISE, MEANS, PRODUCTS, ROUNDINGS, Grid, onto_product
from tinyint.qat.kernels.fused import FusedProduct
from tinyint.qat.prepare import prepare
from tinyint.qat.qat_module import QatModule
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime
from tinyint.targets import Kernel


def grid(scale: float, zero_point: int, lowest: int = 0) -> Grid:
    return Grid(torch.tensor(scale), torch.tensor(float(zero_point)), lowest, lowest + 255)


OUT, SIGNED = grid(0.5, 3), grid(0.5, -3, -128)
# Sums 10 and -4 in steps of a quarter, with biases of 1 and 2 steps: 2.75 and -0.5
SUMS, BIAS, STEP = (
    torch.tensor([10.0, -4.0]),
    torch.tensor([1.0, 2.0], dtype=torch.float64),
    torch.tensor(0.25),
)
STEPS = torch.tensor([0.25, 0.5])


def test_codes_are_rounded_to_even_and_saturate_where_the_stored_type_does():
    unsigned = Grid.of(torch.tensor(0.5), torch.tensor(3.0), UINT8)
    assert (unsigned.lowest, unsigned.highest) == (0, 255)
    narrow = Grid.of(torch.tensor(0.5), torch.tensor(0.0), INT8.narrow())
    assert (narrow.lowest, narrow.highest) == (-128, 127)
    k = torch.tensor([2.5, 3.5, -2.4, -5.0, 251.6, 300.0])
    assert OUT.round(k.clone()).tolist() == [2, 4, -2, -3, 252, 252]
    assert OUT.round_codes(k.clone()).tolist() == [-1, 1, -3, -3, 249, 252]
    assert SIGNED.round_codes(torch.tensor([-200.0, -0.5, 200.0])).tolist() == [-125, 3, 130]


@pytest.mark.parametrize("kernel", PRODUCTS)
def test_a_product_in_real_numbers_by_hand(kernel):
    real = PRODUCTS[kernel].real
    assert real(SUMS, BIAS, STEP).tolist() == [2.75, -0.5]
    assert real(SUMS, None, STEP).tolist() == [2.5, -1.0]
    assert real(SUMS, BIAS, STEPS).tolist() == [2.75, -1.0]
    assert real(SUMS.double(), BIAS, STEP).tolist() == [2.75, -0.5]


@pytest.mark.parametrize(
    ("kernel", "bias", "step", "out", "expected"),
    [
        (Kernel.MULTIPLIED, BIAS, STEP, OUT, [6, -1]),  # 5.5 is a tie between multiples of the scale
        (Kernel.MULTIPLIED, None, STEP, OUT, [5, -2]),
        (Kernel.MULTIPLIED, BIAS, 100 * STEP, OUT, [252, -3]),
        (Kernel.MULTIPLIED, BIAS, STEP, SIGNED, [6, -1]),
        (Kernel.RESCALED, BIAS, STEP, OUT, [5, -1]),  # 8.5 is a tie between codes
        (Kernel.RESCALED, None, STEP, OUT, [5, -2]),
        (Kernel.RESCALED, None, STEPS, OUT, [5, -3]),  # 0 is the lowest code
        (Kernel.RESCALED, BIAS, STEP, SIGNED, [5, -1]),  # 2.5 is one as well, and 2 the even code
        (Kernel.RESCALED, None, STEPS, SIGNED, [5, -4]),
        (Kernel.RESCALED, BIAS, 100 * STEP, SIGNED, [130, -100]),
    ],
)
def test_a_product_in_codes_by_hand(kernel, bias, step, out, expected):
    assert PRODUCTS[kernel].coded(SUMS, bias, step, out).tolist() == expected


def test_arithmetic_on_codes_by_hand():
    a, b = torch.tensor([4.0, 200.0, -20.0]), torch.tensor([3.0, 200.0, 1.0])
    grids = [grid(0.5, 1), grid(0.25, 2)]
    # 4 · 0.5 + 3 · 0.25 is 5.5 steps of 0.5 above the zero-point of 3, and a tie goes to the even code
    assert ELEMENTWISE[Kernel.AFFINE_SUM]([a, b], grids, OUT).tolist() == [5, 252, -3]
    assert ELEMENTWISE[Kernel.AFFINE_SUM]([a, b], grids, SIGNED).tolist() == [5, 130, -20 + 1]
    # 5.5 and -19.5 steps: a tie goes away from zero, as do the -1.5 below
    assert ELEMENTWISE[Kernel.FIXED_POINT_SUM]([a, b], grids, OUT).tolist() == [6, 252, -3]
    assert ELEMENTWISE[Kernel.FIXED_POINT_SUM]([a, b], grids, SIGNED).tolist() == [6, 130, -20]
    lowest = torch.tensor([-1.0]), torch.tensor([-1.0])
    assert ELEMENTWISE[Kernel.FIXED_POINT_SUM](lowest, grids, SIGNED).tolist() == [-2]
    # 4 · 3 · 0.5 · 0.25 is 3 steps
    assert ELEMENTWISE[Kernel.SCALED_PRODUCT]([a, b], grids, OUT).tolist() == [3, 252, -3]
    assert ELEMENTWISE[Kernel.SCALED_PRODUCT]([a, b], grids, SIGNED).tolist() == [3, 130, -5]


@pytest.mark.parametrize("kernel", MEANS)
def test_a_mean_of_codes_by_hand(kernel):
    # 10 in four codes: 2.5 steps of 0.5, which are 5 of 0.25
    mean = torch.tensor([2.5, 300.0, -3.0], dtype=torch.float64)
    assert MEANS[kernel](mean, 4, grid(0.5, 7), grid(0.25, 3)).tolist() == [5, 252, -3]
    assert MEANS[kernel](mean, 4, grid(0.5, 7), grid(0.25, -3, -128)).tolist() == [5, 130, -6]


@pytest.mark.parametrize("kernel", ROUNDINGS)
def test_real_numbers_are_rounded_to_even_codes(kernel):
    y = torch.tensor([2.75, -0.5, -7.0, 1000.0])
    assert ROUNDINGS[kernel](y.clone(), OUT).tolist() == [5, -1, -3, 252]
    assert ROUNDINGS[kernel](y.clone(), SIGNED).tolist() == [5, -1, -14, 130]


@pytest.mark.parametrize("x", [grid(0.25, 2), grid(0.25, -5, -128)])
@pytest.mark.parametrize(
    ("made", "out", "expected", "unbiased", "cut"),
    [
        # of steps of 1: 2.75 + 1 and -0.5 + 1; without a bias 2.5 + 1 and -1 + 1; cut: 126 + 1 and -1.5 + 1
        (OUT, grid(1.0, 1), [4, 1], [3, 0], [127, -1]),
        (OUT, grid(1.0, -4, -128), [4, 0], [4, 0], [127, 0]),
        # cut: 65 + 1 and -62.5 + 1
        (SIGNED, grid(1.0, 1), [4, 1], [3, 0], [66, -1]),
        (SIGNED, grid(1.0, -4, -128), [4, 0], [4, 0], [66, -62]),
    ],
)
def test_a_sum_onto_a_product_cuts_the_product_where_its_codes_end_and_does_not_round_it(
    made, x, out, expected, unbiased, cut
):
    codes = torch.tensor([4.0, 4.0])
    assert onto_product((SUMS, BIAS, STEP), made, codes, x, out).tolist() == expected
    assert onto_product((SUMS, None, STEP), made, codes, x, out).tolist() == unbiased
    assert onto_product((SUMS, BIAS, 10000 * STEP), made, codes, x, out).tolist() == cut


CONV = "float[1, 8, 9, 9]"
GEMM = "float[16, 24]"
IMAGE = {"tail": (4, 8, 1, 1), "tail_b": (4,)}
MATRIX = {"tail": (24, 5), "tail_b": (5,)}
TAIL = "[tail_node] z = Conv (y, tail, tail_b)"
TAIL_GEMM = "[tail_node] z = Gemm (y, tail, tail_b)"
LAYERS = {
    "conv": (CONV, "y = Conv <pads = [1, 1, 1, 1]> (x, w, b)", {"w": (8, 8, 3, 3), "b": (8,)}),
    "pointwise": (CONV, "y = Conv (x, w, b)", {"w": (8, 8, 1, 1), "b": (8,)}),
    "strided": (
        CONV,
        "y = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w, b)",
        {"w": (8, 8, 3, 3), "b": (8,)},
    ),
    "grouped": (CONV, "y = Conv <group = 2, pads = [1, 1, 1, 1]> (x, w, b)", {"w": (8, 4, 3, 3), "b": (8,)}),
    "depthwise": (
        CONV,
        "y = Conv <group = 8, pads = [1, 1, 1, 1]> (x, w, b)",
        {"w": (8, 1, 3, 3), "b": (8,)},
    ),
    "without bias": (CONV, "y = Conv <pads = [1, 1, 1, 1]> (x, w)", {"w": (8, 8, 3, 3)}),
    "gemm": (GEMM, "y = Gemm <transB = 1> (x, w, b)", {"w": (24, 24), "b": (24,)}),
    "gemm without bias": (GEMM, "y = Gemm (x, w)", {"w": (24, 24)}),
    "matmul": (GEMM, "y = MatMul (x, w)", {"w": (24, 24)}),
}
OTHERS = {
    "add": "[before] a = Conv (x, w, b) [layer] y = Add (x, a)",
    "residual": "[outer] c = Conv (x, v, u) [before] a = Conv (c, w, b) [layer] y = Add (a, x)",
    "two products": "[before] a = Conv (x, w, b) [beside] c = Conv (x, v, u) [layer] y = Add (a, c)",
    "mul": "[before] a = Conv (x, w, b) [layer] y = Mul (x, a)",
    "mean": "[before] a = Conv (x, w, b) [layer] y = GlobalAveragePool (a)",
    "pool": "[before] a = Conv (x, w, b) [layer] y = AveragePool <kernel_shape = [3, 3], strides = [2, 2]> (a)",
    "leaky": "[before] a = Conv (x, w, b) [layer] y = LeakyRelu <alpha = 0.1> (a)",
}
# On OpenVINO; where some ties fall otherwise, and how many codes may then be another one where ties are everywhere.
NEARLY = {
    **dict.fromkeys(["gemm", "gemm without bias", "matmul", "without bias"], 0.02),
    **dict.fromkeys(["add", "mean", "pool"], 0.2),
}


def network(shape: str, body: str, **weights: tuple[int, ...]) -> ir.Model:
    tail, held = (TAIL, IMAGE) if shape == CONV else (TAIL_GEMM, MATRIX)
    dims = "[1, 4, N, M]" if shape == CONV else "[16, 5]"
    return prepare_graph(build(f"net ({shape} x) => (float{dims} z) {{ {body} {tail} }}", **held, **weights))


def module_of(
    model: ir.Model, target: str, granularity: str, generator: np.random.Generator, zeros: tuple[int, int]
) -> QatModule:
    """With scales whose ratios are a few units in the last place off powers of two, so that sums land on ties."""
    recipe = Recipe.load("default").with_settings([f"weights.granularity={granularity}", "op_types=all"])
    shape = tuple(dim for dim in model.graph.inputs[0].shape or () if isinstance(dim, int))
    module = prepare(
        model, [{"x": generator.normal(size=shape).astype(np.float32)}], recipe=recipe, target=target
    )
    scales = [np.float32(generator.uniform(0.01, 0.1))]
    for name, quantizer in module.activations.items():
        scale = scales[0] * np.float32(
            2.0 ** -generator.integers(0, 3) * (1 + generator.integers(-3, 4) * 6e-8)
        )
        if name == "x":
            scale = scales[0]
        quantizer.scale.fill_(float(scale))
        if not quantizer.scheme.symmetric:
            quantizer.zero_point.fill_(float(zeros[name != "x"]))
    for name, parameter in module.named_parameters():
        codes = generator.integers(-9, 10, parameter.shape)
        if parameter.dim() > 1:
            ends = 127 * generator.choice([-1, 1], max(parameter.shape))  # so that scales come out as units
            codes.reshape(len(codes), -1)[:, 0] = ends[: len(codes)]
            if parameter.dim() == 2:
                codes[0] = ends[: codes.shape[1]]
            units = 2.0**-8 * (1 + generator.integers(-3, 4) * 6e-8)
        else:
            codes, units = codes * 50, float(scales[0]) * 2.0**-8
        if not name.startswith("quantizers"):
            parameter.data.copy_(torch.tensor(codes * units, dtype=torch.float32))
    return module.eval()


def cut(model: ir.Model, tensor: str) -> ir.Model:
    """The exported model, only as far as the codes of the quantized `tensor`."""
    (node,) = [node for node in model.graph if node.name == f"{tensor}/Q"]
    model.graph.outputs.clear()
    model.graph.outputs.append(node.outputs[0])
    ir.passes.common.RemoveUnusedNodesPass()(model)
    return model


def value_of(module: QatModule, tensor: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the module gives for a quantized tensor on its way."""
    values = {"x": torch.tensor(x), **module.constants()}
    for step in module.steps:
        made = step.function([None if name is None else values[name] for name in step.inputs])
        values.update(zip(step.outputs, made, strict=False))
        for name in (f"{tensor} (quantized)", tensor):
            if name in step.outputs and f"{tensor} (scale)" in step.outputs:
                return values[name].detach().numpy()
    raise AssertionError(f"{tensor} is not on the way")


def assert_same_codes(
    module: QatModule, target: str, generator: np.random.Generator, share: float = 0.0
) -> None:
    quantizers = module.activations
    scale, zero_point = (float(t) for t in quantizers["x"].current())
    shape = tuple(dim for dim in module.origin.prepared.graph.inputs[0].shape or () if isinstance(dim, int))
    qtype = quantizers["x"].scheme.qtype
    x = ((generator.integers(qtype.qmin, qtype.qmax + 1, shape) - zero_point) * scale).astype(np.float32)
    with torch.no_grad():
        ours = value_of(module, "y", x)
    session = get_runtime(OWN[target]).open(cut(export(module), "y"), threads=1)
    (theirs,) = session.run({"x": x}).values()
    step, zero = (float(t) for t in quantizers["y"].current())
    codes = np.rint(ours / step) + zero
    assert (codes != theirs).mean() <= share
    assert len(np.unique(codes)) > 1  # the comparison says something


zero_points = st.tuples(st.sampled_from([0, 3, 128, 200]), st.sampled_from([0, 3, 97, 128]))


@pytest.mark.parametrize("target", OWN)
@pytest.mark.parametrize("layer", LAYERS)
@settings(max_examples=5, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**16), granularity=st.sampled_from(["per_channel", "per_tensor"]), zeros=zero_points
)
def test_products(layer, target, seed, granularity, zeros):
    shape, body, weights = LAYERS[layer]
    generator = np.random.default_rng(seed)
    module = module_of(network(shape, f"[layer] {body}", **weights), target, granularity, generator, zeros)
    assert any(isinstance(step.function, FusedProduct) for step in module.steps)
    assert_same_codes(module, target, generator, NEARLY.get(layer, 0.0) if OWN[target] == "openvino" else 0.0)


@pytest.mark.parametrize("target", OWN)
@pytest.mark.parametrize("layer", OTHERS)
@settings(max_examples=5, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**16), zeros=zero_points)
def test_others(layer, target, seed, zeros):
    generator = np.random.default_rng(seed)
    weights = {"w": (8, 8, 1, 1), "b": (8,), "v": (8, 8, 1, 1), "u": (8,)}
    model = network(
        CONV,
        OTHERS[layer],
        **weights if layer in ("residual", "two products") else dict(list(weights.items())[:2]),
    )
    module = module_of(model, target, "per_channel", generator, zeros)
    assert_same_codes(module, target, generator, NEARLY.get(layer, 0.0) if OWN[target] == "openvino" else 0.0)


def test_with_gradients_it_gives_the_same_and_they_are_those_of_training_mode():
    shape, body, weights = LAYERS["conv"]
    generator = np.random.default_rng(0)
    module = module_of(network(shape, body, **weights), "x86-vnni", "per_channel", generator, (128, 128))
    for quantizer in module.activations.values():
        quantizer.freeze()
    x = torch.tensor(generator.normal(size=(1, 8, 9, 9)).astype(np.float32))
    with torch.no_grad():
        expected = module(x)
    y = module(x)
    assert torch.equal(y, expected)
    gradients = []
    for mode in (False, True):
        module.train(mode).zero_grad()
        module(x).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in module.parameters()])
    assert all(gradient.abs().sum() > 0 for gradient in gradients[0])
    torch.testing.assert_close(*gradients, rtol=0, atol=0.05)  # a code of y that is another one makes 0.01


def test_sums_beyond_float32_are_exact_too():
    """4095 products of 255 · 127 and one of 255 · 1: 132 million, where float32 holds every eighth whole number."""
    weight = np.full((1, 4096), 127.0, np.float32)
    weight[0, 0] = 1.0
    model = prepare_graph(
        build("net (float[1, 4096] x) => (float[1, 1] y) { [layer] y = Gemm <transB = 1> (x, w) }", w=weight)
    )
    module = prepare(model, [{"x": np.full((1, 4096), 2.0, np.float32)}], target="x86-vnni").eval()
    x = torch.full((1, 4096), 2.0)
    with torch.no_grad():
        scale = float(module.activations["x"].scale)
        assert float(module(x)) == np.float32(255 * (127 * 4095 + 1)) * np.float32(scale)
