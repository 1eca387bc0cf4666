"""Which steps become one int8 kernel."""

from dataclasses import replace

import pytest

from tests.qat.steps import rewritten
from tinyint.qat.kernels.fuse import fuse
from tinyint.qat.kernels.fused import (
    FusedElementwise,
    FusedMean,
    FusedProduct,
    FusedRounding,
    FusedStep,
    FusedSum,
)
from tinyint.targets import Kernel, get_target

ONE = "[one] a = Conv (x, w)"


def fused(body: str, target: str = "x86-vnni", **options: str) -> dict[str, tuple[type, list[str]]]:
    """By name, the fused steps: of which kind, and from which."""
    steps, graph = rewritten(body, target, **options)
    found = {step.name: step.function for step in fuse(steps, graph, get_target(target))}
    return {
        name: (type(function), [step.name for step in function.steps])
        for name, function in found.items()
        if isinstance(function, FusedStep)
    }


def names(body: str, target: str = "x86-vnni", **options: str) -> list[str]:
    steps, graph = rewritten(body, target, **options)
    return [step.name for step in fuse(steps, graph, get_target(target))]


def test_a_product_takes_its_constants_and_the_quantizer_behind_it():
    body = "[one] a = Conv (x, w, b) [cut] r = Relu (a) [two] y = Conv (r, v, u)"
    assert fused(body) == {
        "r/Q": (FusedProduct, ["one[1]/Q", "one", "r/Q"]),
        "y/Q": (FusedProduct, ["two[1]/Q", "two", "y/Q"]),
    }
    assert names(body) == ["x/Q", "r/Q", "y/Q"]
    steps, graph = rewritten(body)
    product = fuse(steps, graph, get_target("x86-vnni"))[1]
    assert product.inputs == ("w", "b", "x (scale)", "x (quantized)")
    assert product.outputs == ("r", "r (scale)")


@pytest.mark.parametrize(
    ("operator", "kind"),
    [
        ("GlobalAveragePool (a)", FusedMean),
        ("AveragePool <kernel_shape = [2, 2]> (a)", FusedRounding),
        ("Mul (a, x)", FusedElementwise),
        ("Add (a, x)", FusedElementwise),
    ],
)
def test_an_operator_between_quantizers_takes_the_one_behind_it(operator, kind):
    assert fused(f"{ONE} [it] p = {operator} [two] y = Conv (p, v)")["p/Q"] == (kind, ["it", "p/Q"])


def test_what_moves_values_is_read_on_its_grid():
    found = fused(f"{ONE} [move] m = MaxPool <kernel_shape = [2, 2]> (a) [two] y = Conv (m, v)")
    assert set(found) == {"a/Q", "y/Q"}


def test_an_operator_that_reads_float_stays():
    found = names(f"{ONE} [soft] s = Erf (a) [two] y = Conv (s, v)")
    assert found == ["x/Q", "a/Q", "soft", "s/Q", "y/Q"]


def test_a_target_without_kernels_keeps_the_steps():
    body = f"{ONE} [two] y = Conv (a, v)"
    assert fused(body, "tensorrt") == {}
    assert names(body, "tensorrt") == ["x/Q", "one[1]/Q", "one", "a/Q", "two[1]/Q", "two"]


def test_a_product_whose_result_others_read_too_takes_no_quantizer():
    shared = f"{ONE} [two] b = Conv (a, v) [soft] y = Erf (a)"
    outputs = "float[1, 4, 6, 6] y, float[1, 4, 6, 6] b"
    assert fused(shared, "openvino", outputs=outputs)["one"] == (FusedProduct, ["one[1]/Q", "one"])
    assert "a/Q" in names(shared, "openvino", outputs=outputs)


def test_a_sum_goes_with_the_product_before_it():
    body = f"{ONE} [two] c = Conv (a, v) [sum] y = Add (c, x)"
    assert fused(body, "openvino")["y/Q"] == (FusedSum, ["two[1]/Q", "two", "c/Q", "sum", "y/Q"])
    assert names(body, "openvino") == ["x/Q", "a/Q", "y/Q"]


def test_a_sum_of_a_product_and_what_it_reads_itself_stays():
    found = names(f"{ONE} [two] c = Conv (a, v) [sum] s = Add (c, a) [three] y = Conv (s, w)", "openvino")
    assert found == ["x/Q", "a/Q", "c/Q", "sum", "s/Q", "three"]


def test_a_sum_that_broadcasts_stays():
    body = f"{ONE} [gap] p = GlobalAveragePool (x) [two] c = Conv (a, v) [sum] y = Add (c, p)"
    assert "sum" in names(body, "openvino")


def test_a_mean_of_windows_of_unlike_sizes_stays():
    x86 = get_target("x86-vnni")
    mean = x86.operators["GlobalAveragePool"].kernel
    assert isinstance(mean, Kernel)
    target = replace(
        x86, operators={**x86.operators, "AveragePool": replace(x86.operators["AveragePool"], kernel=mean)}
    )

    def kinds(attributes: str) -> list[type]:
        body = f"{ONE} [it] p = AveragePool <kernel_shape = [3, 3]{attributes}> (a) [two] y = Conv (p, v)"
        return [type(step.function) for step in fuse(*rewritten(body), target)]

    assert FusedMean in kinds(", strides = [2, 2]")
    assert FusedMean not in kinds(", pads = [1, 1, 1, 1]")
    assert FusedMean not in kinds(", ceil_mode = 1, strides = [2, 2]")
