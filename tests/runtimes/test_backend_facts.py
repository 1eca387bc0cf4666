"""What the runtimes do with small Q/DQ graphs. The targets rely on each of these; a new release may change one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.runtimes.graphs import SCALE, Graph
from tinyint.runtimes import get_runtime
from tinyint.runtimes.base import Executed, Runtime
from tinyint.runtimes.host import host
from tinyint.targets import Target
from tinyint.targets.openvino import OPENVINO as OPENVINO_TARGET
from tinyint.targets.x86 import COMPARISONS, MOVERS, X86_VNNI

pytestmark = pytest.mark.skipif(not host().has_vnni, reason="facts about x86 processors with VNNI")

ORT = get_runtime("onnxruntime")
OPENVINO = get_runtime("openvino")
BOTH = [pytest.param(ORT, id="onnxruntime"), pytest.param(OPENVINO, id="openvino")]


def nodes(runtime: Runtime, model: bytes) -> dict[str, Executed]:
    """The executed node that stands for each source node."""
    return {source: row for row in runtime.executed(model) for source in row.sources}


def in_int8(runtime: Runtime, model: bytes, names: Sequence[str]) -> list[str]:
    found = nodes(runtime, model)
    return [name for name in names if name in found and found[name].int8]


def error_in_lsb(runtime: Runtime, model: bytes, lsb: float = SCALE) -> float:
    """The largest distance to the op-by-op simulation."""
    simulated = ORT.open(model, threads=1, optimize=False)
    shape = [dim or 1 for dim in simulated.inputs[0].shape]
    feeds = {"x": np.random.default_rng(1).uniform(-6, 6, shape).astype(np.float32)}
    expected, got = simulated.run(feeds), runtime.open(model, threads=1).run(feeds)
    assert all(np.ptp(values) > 10 * lsb for values in expected.values()), "the test's own values say nothing"
    return max(float(np.abs(got[name] - expected[name]).max()) / lsb for name in expected)


def pair(dtype: str, zero_point: int) -> bytes:
    """One activation into two convolutions."""
    g = Graph(1, 16, 8, 8)
    x = g.quantized("x", zero_point=zero_point, dtype=dtype)
    return g.model(
        *(g.quantized(g.conv(x, name, 16, 16), zero_point=zero_point, dtype=dtype) for name in ("a", "b"))
    )


def residual(*, quantized: str) -> bytes:
    """a(x) + b(x) into the convolution c; `quantized` names the convolutions with Q/DQ before the Add."""
    g = Graph(1, 16, 8, 8)
    x = g.quantized("x")
    sides = [g.conv(x, name, 16, 16) for name in "ab"]
    sides = [g.quantized(side) if name in quantized else side for name, side in zip("ab", sides, strict=True)]
    return g.model(g.quantized(g.conv(g.quantized(g.add("Add", sides, "sum")), "c", 16, 16)))


def concat(*, scales: tuple[float, float] | None, dtype: str = "uint8", zero_point: int = 128) -> bytes:
    """a(x) and b(x) joined, into the convolution c; with Q/DQ of `scales` before the Concat, and in any case behind."""
    g = Graph(1, 16, 8, 8)
    how = {"dtype": dtype, "zero_point": zero_point}
    x = g.quantized("x", **how)
    sides = [g.conv(x, name, 16, 16) for name in "ab"]
    if scales is not None:
        sides = [g.quantized(side, scale, **how) for side, scale in zip(sides, scales, strict=True)]
    joined = g.quantized(g.add("Concat", sides, "concat", axis=1), **how)
    return g.model(g.quantized(g.conv(joined, "c", 32, 16, 3), **how))


def error_without_amx(dtype: str, zero_point: int) -> float:
    """The error of `concat` in a process whose OpenVINO may not use AMX."""
    code = (
        "from tests.runtimes.test_backend_facts import *\n"
        f"model = concat(scales=(SCALE, SCALE), dtype={dtype!r}, zero_point={zero_point})\n"
        "print(error_in_lsb(OPENVINO, model))"
    )
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, check=True
    )
    return float(done.stdout)


def behind_conv(
    op: str, scale: float = SCALE, zero_point: int = 128, dtype: str = "uint8", **attributes: object
) -> bytes:
    """conv, then `op` without Q/DQ between them, then Q/DQ."""
    g = Graph(1, 16, 8, 8)
    limits = [g.constant("low", np.float32(0)), g.constant("high", np.float32(6))] if op == "Clip" else []
    y = g.add(op, [g.conv(g.quantized("x"), "a", 16, 16), *limits], "op", **attributes)
    return g.model(g.quantized(y, scale, zero_point, dtype))


def after_quantized_conv(op: str, scale: float = SCALE, **attributes: object) -> bytes:
    """conv, Q/DQ, `op`, Q/DQ with `scale`."""
    g = Graph(1, 16, 8, 8)
    y = g.add(op, [g.quantized(g.conv(g.quantized("x"), "a", 16, 16))], "op", **attributes)
    return g.model(g.quantized(y, scale))


class TestSignedness:
    """P1."""

    @pytest.mark.parametrize("runtime", BOTH)
    def test_an_unsigned_activation_reaches_two_convolutions_in_int8(self, runtime: Runtime) -> None:
        model = pair("uint8", 128)
        assert in_int8(runtime, model, ["a", "b"]) == ["a", "b"]
        assert error_in_lsb(runtime, model) <= 1.01

    def test_a_signed_activation_of_two_readers_leaves_onnxruntime_in_float(self) -> None:
        assert in_int8(ORT, pair("int8", 0), ["a", "b"]) == []

    def test_openvino_takes_it(self) -> None:
        model = pair("int8", 0)
        assert in_int8(OPENVINO, model, ["a", "b"]) == ["a", "b"]
        assert error_in_lsb(OPENVINO, model) <= 1.01


class TestConvolution:
    """P4, P6, P16, P18."""

    def test_onnxruntime_needs_a_quantized_output(self) -> None:
        g = Graph(1, 16, 8, 8)
        model = g.model(g.conv(g.quantized("x"), "a", 16, 16))
        assert in_int8(ORT, model, ["a"]) == []
        assert in_int8(OPENVINO, model, ["a"]) == ["a"]

    @pytest.mark.parametrize("runtime", BOTH)
    def test_depthwise_per_channel_runs_in_int8(self, runtime: Runtime) -> None:
        g = Graph(1, 16, 8, 8)
        model = g.model(g.quantized(g.conv(g.quantized("x"), "a", 16, 16, 3, group=16)))
        assert in_int8(runtime, model, ["a"]) == ["a"]
        assert error_in_lsb(runtime, model) <= 1.01

    def test_a_bias_of_another_scale_costs_onnxruntime_the_fusion(self) -> None:
        g = Graph(1, 16, 8, 8)
        inputs = [g.quantized("x"), g.weight("w", (16, 16, 1, 1)), g.bias("b", 16, scale=1.3e-4)]
        model = g.model(g.quantized(g.add("Conv", inputs, "a")))
        assert in_int8(ORT, model, ["a"]) == []
        assert in_int8(OPENVINO, model, ["a"]) == ["a"]

    @pytest.mark.parametrize("runtime", BOTH)
    def test_a_float_bias_is_as_good(self, runtime: Runtime) -> None:
        g = Graph(1, 16, 8, 8)
        bias = g.constant("b", np.linspace(-1, 1, 16, dtype=np.float32))
        model = g.model(
            g.quantized(g.add("Conv", [g.quantized("x"), g.weight("w", (16, 16, 1, 1)), bias], "a"))
        )
        assert in_int8(runtime, model, ["a"]) == ["a"]
        assert error_in_lsb(runtime, model) <= 1.01

    @pytest.mark.parametrize(("dtype", "zero_point"), [("int8", 10), ("uint8", 138)])
    def test_openvino_wants_symmetric_signed_weights(self, dtype: str, zero_point: int) -> None:
        g = Graph(1, 16, 8, 8)
        weight = g.weight("w", (16, 16, 1, 1), zero_point=zero_point, dtype=dtype)
        model = g.model(g.quantized(g.add("Conv", [g.quantized("x"), weight], "a")))
        assert in_int8(ORT, model, ["a"]) == ["a"]
        assert in_int8(OPENVINO, model, ["a"]) == []

    @pytest.mark.parametrize("axis", [0, 1])
    def test_onnxruntime_has_no_transposed_convolution(self, axis: int) -> None:
        g = Graph(1, 16, 8, 8)
        model = g.model(
            g.quantized(g.add("ConvTranspose", [g.quantized("x"), g.weight("w", (16, 16, 3, 3), axis)], "a"))
        )
        assert in_int8(ORT, model, ["a"]) == []

    @pytest.mark.parametrize(
        ("axis", "zero_point", "expected"), [(1, 0, ["a"]), (0, 0, []), (1, 128, []), (0, 128, [])]
    )
    def test_openvino_transposes_along_axis_1_from_a_zero_point_of_0(
        self, axis: int, zero_point: int, expected: list[str]
    ) -> None:
        g = Graph(1, 16, 8, 8)
        inputs = [g.quantized("x", zero_point=zero_point), g.weight("w", (16, 16, 4, 4), axis)]
        model = g.model(g.quantized(g.add("ConvTranspose", inputs, "a", strides=[2, 2])))
        assert in_int8(OPENVINO, model, ["a"]) == expected


class TestActivation:
    """P8: the range absorbs it."""

    @pytest.mark.parametrize("runtime", BOTH)
    @pytest.mark.parametrize(("dtype", "zero_point"), [("uint8", 0), ("int8", -128)])
    def test_relu_is_absorbed_by_a_range_that_starts_at_zero(
        self, runtime: Runtime, dtype: str, zero_point: int
    ) -> None:
        model = behind_conv("Relu", zero_point=zero_point, dtype=dtype)
        assert in_int8(runtime, model, ["a"]) == ["a"]
        assert error_in_lsb(runtime, model) <= 1.01

    @pytest.mark.parametrize(("dtype", "zero_point"), [("int8", 0), ("uint8", 128)])
    def test_relu_before_any_other_range_leaves_onnxruntime_in_float(
        self, dtype: str, zero_point: int
    ) -> None:
        model = behind_conv("Relu", zero_point=zero_point, dtype=dtype)
        assert nodes(ORT, model)["a"].op == "FusedConv"
        assert in_int8(OPENVINO, model, ["a"]) == ["a"]

    @pytest.mark.parametrize(("limit", "expected"), [(5.0, ["a"]), (6.0, ["a"]), (8.0, [])])
    def test_clip_is_absorbed_by_a_range_within_its_limits(self, limit: float, expected: list[str]) -> None:
        assert in_int8(ORT, behind_conv("Clip", limit / 255, 0), ["a"]) == expected

    def test_the_inner_tensors_of_silu_are_quantized_for_onnxruntime(self) -> None:
        found = []
        for inner in (True, False):
            g = Graph(1, 16, 8, 8)
            a = g.conv(g.quantized("x"), "a", 16, 16)
            a = g.quantized(a) if inner else a
            s = g.add("Sigmoid", [a], "sigmoid")
            s = g.quantized(s, 1 / 255, 0) if inner else s
            model = g.model(g.quantized(g.add("Mul", [a, s], "mul")))
            found.append(in_int8(ORT, model, ["a", "sigmoid", "mul"]))
            assert in_int8(OPENVINO, model, ["a"]) == ["a"]
        assert found == [["a", "sigmoid", "mul"], []]


class TestAddAndConcat:
    """P7, P9, P17."""

    @pytest.mark.parametrize(
        ("quantized", "expected"),
        [("ab", ["a", "b", "sum", "c"]), ("a", ["a", "c"]), ("b", ["b", "c"]), ("", ["c"])],
    )
    def test_onnxruntime_wants_both_inputs_of_an_add(self, quantized: str, expected: list[str]) -> None:
        assert in_int8(ORT, residual(quantized=quantized), ["a", "b", "sum", "c"]) == expected

    @pytest.mark.parametrize("quantized", ["ab", "a", "b", ""])
    def test_openvino_runs_the_convolutions_in_any_case(self, quantized: str) -> None:
        model = residual(quantized=quantized)
        assert in_int8(OPENVINO, model, ["a", "b", "c"]) == ["a", "b", "c"]
        assert error_in_lsb(OPENVINO, model) <= 1.01

    @pytest.mark.parametrize("scale", [SCALE, 0.07])
    @pytest.mark.parametrize("runtime", BOTH)
    def test_concat_takes_inputs_of_equal_or_different_scales(self, runtime: Runtime, scale: float) -> None:
        model = concat(scales=(SCALE, scale))
        assert in_int8(runtime, model, ["a", "b", "concat", "c"]) == ["a", "b", "concat", "c"]
        assert error_in_lsb(runtime, model) <= 1.01

    def test_concat_quantized_behind_it_only_leaves_onnxruntime_in_float(self) -> None:
        model = concat(scales=None)
        assert in_int8(ORT, model, ["a", "b", "concat", "c"]) == ["c"]
        assert in_int8(OPENVINO, model, ["a", "b", "concat", "c"]) == ["a", "b", "concat", "c"]

    def test_openvino_gets_unsigned_values_through_a_concat_without_amx(self) -> None:
        """Signed ones come out wrong on processors without AMX (2026.4.1): hence unsigned activations for OpenVINO."""
        assert error_without_amx("uint8", 128) <= 1.01


class TestOtherOperators:
    """P9, P10."""

    @pytest.mark.parametrize(
        ("op", "attributes"),
        [("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}), ("Transpose", {"perm": [0, 1, 3, 2]})],
    )
    def test_values_pass_in_int8_if_the_scale_stays(self, op: str, attributes: dict[str, object]) -> None:
        assert in_int8(ORT, after_quantized_conv(op, **attributes), ["a", "op"]) == ["a", "op"]

    def test_max_pool_is_fast_only_behind_an_int8_convolution(self) -> None:
        """Without one, it keeps the layout NCHW, whose kernel for bytes took 78 times as long (192×28×28, 3×3)."""
        assert nodes(ORT, after_quantized_conv("MaxPool", kernel_shape=[2, 2]))["op"].op == "NhwcMaxPool"
        g = Graph(1, 16, 8, 8)
        pool = g.quantized(g.add("MaxPool", [g.quantized("x")], "op", kernel_shape=[2, 2]))
        assert nodes(ORT, g.model(g.quantized(g.conv(pool, "a", 16, 16))))["op"].op == "MaxPool"

    def test_max_pool_to_another_scale_runs_in_float(self) -> None:
        model = after_quantized_conv("MaxPool", 0.03, kernel_shape=[2, 2], strides=[2, 2])
        assert in_int8(ORT, model, ["a", "op"]) == ["a"]

    @pytest.mark.parametrize("scale", [SCALE, 0.03])
    @pytest.mark.parametrize(
        ("op", "attributes"),
        [
            ("AveragePool", {"kernel_shape": [2, 2]}),
            ("GlobalAveragePool", {}),
            ("LeakyRelu", {"alpha": 0.1}),
            ("Sigmoid", {}),
            ("Softmax", {"axis": 1}),
        ],
    )
    def test_onnxruntime_has_a_kernel(self, op: str, attributes: dict[str, object], scale: float) -> None:
        assert in_int8(ORT, after_quantized_conv(op, scale, **attributes), ["op"]) == ["op"]

    @pytest.mark.parametrize("include", [0, 1])
    def test_openvino_takes_the_padding_of_an_average_for_bytes(self, include: int) -> None:
        """Bytes of 0, not of the zero-point: wrong values, unless the zero-point is 0 (2026.4.1)."""
        pool = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": include}
        model = after_quantized_conv("AveragePool", **pool)
        assert in_int8(OPENVINO, model, ["op"]) == ["op"]
        assert (error_in_lsb(OPENVINO, model) > 10) == bool(include)
        assert error_in_lsb(ORT, model) <= 1.01

    @pytest.mark.parametrize(("op", "attributes"), [("LeakyRelu", {"alpha": 0.1}), ("Sigmoid", {})])
    def test_openvino_computes_it_in_the_convolution_before_it(
        self, op: str, attributes: dict[str, object]
    ) -> None:
        for scale in (SCALE, 0.03):
            model = behind_conv(op, scale, **attributes)
            assert in_int8(OPENVINO, model, ["a", "op"]) == ["a", "op"]
            assert nodes(OPENVINO, model)["a"] == nodes(OPENVINO, model)["op"]
            assert in_int8(ORT, model, ["a", "op"]) == []

    @pytest.mark.parametrize(("op", "attributes"), [("Tanh", {}), ("HardSwish", {}), ("Erf", {})])
    def test_onnxruntime_has_none(self, op: str, attributes: dict[str, object]) -> None:
        assert in_int8(ORT, after_quantized_conv(op, **attributes), ["op"]) == []


# Attributes, constant inputs behind the first, and how often the quantized convolution is read.
OPERATORS: dict[str, tuple[dict[str, object], tuple[np.ndarray, ...], int]] = {
    "Add": ({}, (), 2),
    "Sub": ({}, (), 2),
    "Mul": ({}, (), 2),
    "Concat": ({"axis": 1}, (), 2),
    "Sigmoid": ({}, (), 1),
    "LeakyRelu": ({"alpha": 0.1}, (), 1),
    "Softmax": ({"axis": 1}, (), 1),
    "AveragePool": ({"kernel_shape": [2, 2]}, (), 1),
    "GlobalAveragePool": ({}, (), 1),
    "ReduceMean": ({"axes": [2, 3]}, (), 1),
    "MaxPool": ({"kernel_shape": [2, 2]}, (), 1),
    "GlobalMaxPool": ({}, (), 1),
    "Reshape": ({}, (np.array([1, 16, 64]),), 1),
    "Flatten": ({}, (), 1),
    "Transpose": ({"perm": [0, 1, 3, 2]}, (), 1),
    "Squeeze": ({}, (np.array([0]),), 1),
    "Unsqueeze": ({}, (np.array([0]),), 1),
    "Slice": ({}, (np.array([0]), np.array([8]), np.array([1])), 1),
    "Gather": ({"axis": 1}, (np.array([0, 3, 5]),), 1),
    "Split": ({"axis": 1}, (np.array([16]),), 1),
    "Expand": ({}, (np.array([2, 16, 8, 8]),), 1),
    "Tile": ({}, (np.array([1, 2, 1, 1]),), 1),
    "DepthToSpace": ({"blocksize": 2}, (), 1),
    "SpaceToDepth": ({"blocksize": 2}, (), 1),
    "Pad": ({}, (np.array([0, 0, 1, 1, 0, 0, 1, 1]),), 1),
    "Resize": ({"mode": "nearest"}, (np.zeros(0, np.float32), np.array([1, 1, 2, 2], np.float32)), 1),
    "Resize (linear)": ({"mode": "linear"}, (np.zeros(0, np.float32), np.array([1, 1, 2, 2], np.float32)), 1),
    "ArgMax": ({"axis": 1}, (), 1),
    "ArgMin": ({"axis": 1}, (), 1),
    **{op: ({}, (), 2) for op in COMPARISONS},
}


def among_int8(op: str, runtime: Runtime) -> bytes:
    """The operator between quantized outputs of convolutions, the second one pooled, and a quantizer of its own.

    ONNX Runtime moves values only between equal scales; OpenVINO is given no quantizer behind what moves them.
    """
    attributes, constants, reads = OPERATORS[op]
    g = Graph(1, 16, 8, 8)
    x = g.quantized("x")
    inputs = [g.quantized(g.conv(x, name, 16, 16, 3)) for name in "ab"[:reads]]
    if reads == 2:
        inputs[1] = g.quantized(g.add("MaxPool", inputs[1:], "pool", kernel_shape=[1, 1]))
    inputs += [g.constant(f"constant_{i}", values) for i, values in enumerate(constants)]
    y = g.add(op.split()[0], inputs, "op", **attributes)
    if op in ("ArgMax", "ArgMin"):
        return g.model(y, dtype="int64")
    if op in COMPARISONS:
        return g.model(y, dtype="bool")
    if op == "Concat":
        return g.model(g.quantized(g.conv(g.quantized(y), "last", 32, 16)))
    return g.model(y if runtime is OPENVINO and op in MOVERS else g.quantized(y))


class TestEveryOperator:
    """A target has a rule for what runs on bytes, and a reason for what does not."""

    @pytest.mark.parametrize("op", OPERATORS)
    @pytest.mark.parametrize(("target", "runtime"), [(X86_VNNI, ORT), (OPENVINO_TARGET, OPENVINO)])
    def test_the_rules_say_what_the_runtime_does(self, target: Target, runtime: Runtime, op: str) -> None:
        runs = in_int8(runtime, among_int8(op, runtime), ["op"]) == ["op"]
        assert (op in target.operators, op in target.left_float) == (runs, not runs)

    def test_openvino_multiplies_what_convolutions_make_in_float(self) -> None:
        g = Graph(1, 16, 8, 8)
        sides = [g.quantized(g.conv(g.quantized("x", tag=name), name, 16, 16)) for name in "ab"]
        model = g.model(g.quantized(g.conv(g.quantized(g.add("Mul", sides, "op")), "last", 16, 16)))
        assert in_int8(OPENVINO, model, ["a", "b", "op", "last"]) == ["a", "b", "last"]
        assert in_int8(ORT, model, ["a", "b", "op", "last"]) == ["a", "b", "op", "last"]

    def test_none_is_left_out(self) -> None:
        for target in (X86_VNNI, OPENVINO_TARGET):
            elsewhere = {"Conv", "ConvTranspose", "Gemm", "MatMul"}  # tested above and below
            assert {*target.operators, *target.left_float} - elsewhere == set(OPERATORS)

    def test_onnxruntime_takes_the_highest_of_bytes_without_dequantizing(self) -> None:
        rows = ORT.executed(among_int8("ArgMax", ORT))
        assert not any(row.op == "DequantizeLinear" for row in rows)


def dense(op: str, shape: tuple[int, ...], *, bias: str = "", output: bool = False) -> bytes:
    """A Gemm, or a MatMul and perhaps an Add, with a "float" or an "int32" bias and perhaps Q/DQ behind."""
    g = Graph(*shape)
    inputs = [g.quantized("x"), g.weight("w", (32, 64), axis=1)]
    values = {"": "", "float": "b", "int32": "b_dq"}[bias]
    if bias == "float":
        g.constant("b", np.linspace(-1, 1, 64, dtype=np.float32))
    elif bias == "int32":
        g.bias("b", 64)
    if op == "Gemm":
        y = g.add("Gemm", [*inputs, values] if bias else inputs, "dense")
    else:
        y = g.add("MatMul", inputs, "dense")
        y = g.add("Add", [y, values], "bias") if bias else y
    return g.model(g.quantized(y) if output else y)


def attention(*, quantized: bool) -> bytes:
    """softmax(q(x) · k(x)ᵀ) · v(x); Q/DQ behind everything, or only before the matrix products with weights."""
    g = Graph(1, 7, 32)
    x = g.quantized("x")
    q, k, v = (g.add("MatMul", [x, g.weight(f"w{name}", (32, 32), axis=1)], name) for name in "qkv")
    k = g.add("Transpose", [g.quantized(k) if quantized else k], "transpose", perm=[0, 2, 1])
    k = g.quantized(k) if quantized else k
    score = g.add("MatMul", [g.quantized(q) if quantized else q, k], "score")
    weight = g.add("Softmax", [g.quantized(score, 0.3) if quantized else score], "softmax", axis=-1)
    weight = g.quantized(weight, 1 / 255, 0) if quantized else weight
    return g.model(g.add("MatMul", [weight, g.quantized(v) if quantized else v], "out"))


class TestAttention:
    """ONNX Runtime gains from Q/DQ everywhere; a product of two activations stays float otherwise."""

    def test_onnxruntime_multiplies_activations_in_int8(self) -> None:
        names = ["q", "k", "v", "transpose", "score", "softmax", "out"]
        assert in_int8(ORT, attention(quantized=True), names) == names
        assert in_int8(ORT, attention(quantized=False), names) == ["q", "k", "v"]

    def test_openvino_multiplies_by_weights_in_int8(self) -> None:
        assert in_int8(OPENVINO, attention(quantized=False), ["q", "k", "v"]) == ["q", "k", "v"]

    @pytest.mark.parametrize(
        ("first", "second", "runs"),
        [
            (("int8", 0), ("int8", 0), True),
            (("uint8", 0), ("int8", 0), True),
            (("uint8", 128), ("int8", 0), False),
            (("uint8", 128), ("uint8", 128), False),
        ],
    )
    def test_openvino_multiplies_activations_in_int8_only_under_a_zero_point_of_zero(
        self, first: tuple[str, int], second: tuple[str, int], runs: bool
    ) -> None:
        g = Graph(1, 32, 32)
        x = g.quantized("x")
        sides = [g.add("MatMul", [x, g.weight(f"w{name}", (32, 32), axis=1)], name) for name in "ab"]
        q, k = (
            g.quantized(side, SCALE, zero_point, dtype)
            for side, (dtype, zero_point) in zip(sides, (first, second), strict=True)
        )
        model = g.model(g.add("MatMul", [q, k], "product"))
        assert in_int8(OPENVINO, model, ["product"]) == ["product"] * runs


class TestDense:
    """P6, and what 1.31 does with the bias of a MatMul."""

    @pytest.mark.parametrize(
        ("op", "shape", "bias", "output", "kernel"),
        [
            ("Gemm", (4, 32), "int32", False, "QGemm"),
            ("Gemm", (4, 32), "int32", True, "QGemm"),
            ("Gemm", (4, 32), "float", True, "QGemm"),
            ("MatMul", (1, 7, 32), "", False, "MatMulIntegerToFloat"),
            ("MatMul", (1, 7, 32), "", True, "QLinearMatMul"),
            ("MatMul", (1, 7, 32), "float", True, "QGemm"),
            ("MatMul", (1, 7, 32), "int32", False, "QGemm"),
            ("MatMul", (4, 32), "float", True, "QGemm"),
            ("MatMul", (4, 32), "int32", False, "QGemm"),
        ],
    )
    def test_onnxruntime_runs_it_in_int8(
        self, op: str, shape: tuple[int, ...], bias: str, output: bool, kernel: str
    ) -> None:
        model = dense(op, shape, bias=bias, output=output)
        assert nodes(ORT, model)["dense"].op == kernel
        assert error_in_lsb(ORT, model) <= 1.01

    @pytest.mark.parametrize(
        ("op", "shape"), [("Gemm", (4, 32)), ("MatMul", (4, 32)), ("MatMul", (1, 7, 32))]
    )
    def test_a_float_bias_and_a_float_output_make_it_float(self, op: str, shape: tuple[int, ...]) -> None:
        model = dense(op, shape, bias="float")
        assert nodes(ORT, model)["dense"].op == "Gemm"
        assert in_int8(OPENVINO, model, ["dense"]) == ["dense"]
