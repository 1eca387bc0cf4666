"""Equalization: factors worked by hand, the same function bit for bit, and what it is for."""

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graph.build import build, feeds_of, run
from tests.models import depthwise, inception, noise, residual, transformer
from tinyint.data import Sample
from tinyint.errors import RecordError
from tinyint.graph.ops import layout_of
from tinyint.graph.prepare import prepare
from tinyint.graph.walk import constant_of
from tinyint.numbers.numerics import sqnr_db
from tinyint.quantization.calibration import CalibrationRecord, calibrate
from tinyint.quantization.ptq import quantize_graph
from tinyint.quantization.recipe import Recipe
from tinyint.quantization.repair import repair_float
from tinyint.quantization.repair.equalize import equalize_graph
from tinyint.quantization.repair.factors import FREE, Layer, equalizing_factors
from tinyint.quantization.repair.trace import trace
from tinyint.targets import get_target

STEPS = Recipe.load("default").with_settings(["steps=[equalize]"])


def chain():
    """conv → Relu → depthwise → PRelu → pool → conv → LeakyRelu → flatten → gemm, without anything that pins."""
    return prepare(
        build(
            """
            net (float[N, 3, 8, 8] x) => (float[N, 5] y) {
              [conv] a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
              [relu] ar = Relu (a)
              [depth] b = Conv <group = 6, pads = [1, 1, 1, 1]> (ar, w2, b2)
              [prelu] br = PRelu (b, slope)
              [pool] p = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (br)
              [project] c = Conv (p, w3, b3)
              [leaky] cr = LeakyRelu <alpha = 0.1> (c)
              [flat] f = Flatten (cr)
              [fc] y = Gemm <transB = 1> (f, w4, b4)
            }
            """,
            w1=(6, 3, 3, 3),
            b1=(6,),
            w2=(6, 1, 3, 3),
            b2=(6,),
            slope=(6, 1, 1),
            w3=(4, 6, 1, 1),
            b3=(4,),
            w4=(5, 64),
            b4=(5,),
        )
    )


def upward():
    """MatMul with a bias after it, ConvTranspose in groups, a join of branches, and channels last at the end."""
    return prepare(
        build(
            """
            net (float[2, 4, 5] x) => (float[2, 10, 3] y) {
              [expand] a0 = MatMul (x, w1)
              [bias] a = Add (a0, b1)
              [relu] ar = Relu (a)
              [narrow] c = MatMul (ar, w2)
              [turn] t = Transpose <perm = [0, 2, 1]> (c)
              [up] u = ConvTranspose <group = 2, strides = [2]> (t, w3, b3)
              [more] v = Conv (u, w4)
              [less] w = Conv (u, w5)
              [sum] s = Add (v, w)
              [both] j = Concat <axis = 1> (s, u)
              [last] z = Conv (j, w6)
              [back] y = Transpose <perm = [0, 2, 1]> (z)
            }
            """,
            w1=(5, 7),
            b1=(7,),
            w2=(7, 6),
            w3=(6, 2, 4),
            b3=(4,),
            w4=(3, 4, 1),
            w5=(3, 4, 1),
            w6=(3, 7, 1),
        )
    )


def hostile(model: ir.Model, spread: float, seed: int = 0) -> ir.Model:
    """The same function, with every channel that can have a factor multiplied by 2^round(N(0, spread))."""
    model = model.clone()
    found = trace(model.graph)
    exponents = np.rint(np.random.default_rng(seed).normal(0, spread, found.count))
    factors = np.append(2.0**exponents, 1.0).astype(np.float32)
    for linear in found.linears:
        array = np.array(constant_of(linear.weight))
        matrix = layout_of(linear.node).matrix(array)
        matrix *= (factors[linear.outputs][:, :, None] / factors[linear.inputs][:, None, :])[..., None]
        linear.weight.const_value = ir.tensor(array, name=linear.weight.name)
    for bias in found.biases:
        array = constant_of(bias.value)
        shape = [-1 if axis == bias.axis else 1 for axis in range(array.ndim)]
        bias.value.const_value = ir.tensor(
            array * factors[bias.channels].reshape(shape), name=bias.value.name
        )
    return model


def row(*numbers):
    return np.array([numbers])


def test_two_layers_meet_half_way():
    # rows hold 8, 1, ½ and columns ½, 1, 8: √(½/8) = ¼, 1, √(8/½) = 4
    before = Layer(
        weight=np.float32([[[8, 2], [1, 1], [0.5, 0.25]]]), outputs=row(0, 1, 2), inputs=row(FREE, FREE)
    )
    after = Layer(weight=np.float32([[[0.5, 1, 8]]]), outputs=row(FREE), inputs=row(0, 1, 2))
    np.testing.assert_array_equal(equalizing_factors([before, after], np.zeros(3)), [0.25, 1, 4])


def test_three_layers_meet_at_the_third():
    # 64, 1, 1 against 1, 1, 1 in the second channel: conv · s, depthwise · t/s, conv / t gives 4, 4, 4
    conv = Layer(weight=np.float32([[[1], [64]]]), outputs=row(0, 1), inputs=row(FREE))
    depth = Layer(
        weight=np.ones((2, 1, 1), np.float32), outputs=np.array([[2], [3]]), inputs=np.array([[0], [1]])
    )
    project = Layer(weight=np.ones((1, 1, 2), np.float32), outputs=row(FREE), inputs=row(2, 3))
    first, second, third, fourth = equalizing_factors([conv, depth, project], np.zeros(4))
    assert 64 * second / (1 * first) == 4
    assert (fourth / second) / (third / first) == 4
    assert (1 / fourth) / (1 / third) == 4


def test_the_scale_of_a_whole_layer_is_no_reason():
    before = Layer(weight=np.full((1, 2, 1), 1000, np.float32), outputs=row(0, 1), inputs=row(FREE))
    after = Layer(weight=np.full((1, 1, 2), 0.001, np.float32), outputs=row(FREE), inputs=row(0, 1))
    np.testing.assert_array_equal(equalizing_factors([before, after], np.zeros(2)), [1, 1])


def test_a_healthy_network_is_left_alone():
    before = Layer(weight=np.float32([[[4], [1], [1]]]), outputs=row(0, 1, 2), inputs=row(FREE))
    after = Layer(weight=np.ones((1, 1, 3), np.float32), outputs=row(FREE), inputs=row(0, 1, 2))
    np.testing.assert_array_equal(equalizing_factors([before, after], np.zeros(3)), [1, 1, 1])


def test_a_channel_with_zeros_on_one_side_keeps_its_scale():
    before = Layer(weight=np.float32([[[0], [4], [1]]]), outputs=row(0, 1, 2), inputs=row(FREE))
    after = Layer(weight=np.float32([[[9, 1, 4]]]), outputs=row(FREE), inputs=row(0, 1, 2))
    assert equalizing_factors([before, after], np.zeros(3))[0] == 1


def test_a_bias_beside_vanished_weights_is_not_blown_up():
    before = Layer(
        weight=np.float32([[[1], [1], [1], [1e-9], [2**12]]]), outputs=row(0, 1, 2, 3, 4), inputs=row(FREE)
    )
    after = Layer(weight=np.ones((1, 1, 5), np.float32), outputs=row(FREE), inputs=row(0, 1, 2, 3, 4))
    blown = equalizing_factors([before, after], np.zeros(5))
    held = equalizing_factors([before, after], np.array([0.1, 0.1, 0.1, 0.1, 0.1]))
    assert blown[3] / blown[0] > 2**13
    assert (
        2 <= held[3] / held[0] <= 8
    )  # counts as 1/16, of which half the way is 4; each is rounded to a power of two


@pytest.mark.parametrize("network", [residual, inception, depthwise, transformer, chain, upward])
def test_the_function_stays_the_same_bit_for_bit(network):
    model = network()
    for start in (model, hostile(model, 3.0)):
        equalized, _ = equalize_graph(start)
        for expected, found in zip(run(model, feeds_of(model)), run(equalized, feeds_of(model)), strict=True):
            np.testing.assert_array_equal(found, expected)


@given(seed=st.integers(0, 2**16), spread=st.floats(3, 6))
@settings(max_examples=15, deadline=None)
def test_whatever_the_factors_were_they_are_found_again(seed, spread):
    model = chain()
    one, two = (equalize_graph(hostile(model, spread, s))[0] for s in (seed, seed + 1))
    for name, value in one.graph.initializers.items():
        ours, theirs = constant_of(value), constant_of(two.graph.initializers[name])
        off = np.log2(np.abs(theirs / ours))
        # a whole layer's scale may differ; either factor of a weight, half way between two powers, be rounded otherwise
        assert np.ptp(np.unique(np.rint(off))) <= 4, name


def test_channels_that_are_joined_have_one_factor():
    found = trace(upward().graph)
    of = {linear.node.name: linear for linear in found.linears}
    np.testing.assert_array_equal(of["more"].outputs, of["less"].outputs)
    np.testing.assert_array_equal(
        of["last"].inputs[0], np.append(of["more"].outputs[0], of["up"].outputs.ravel())
    )
    assert (of["last"].outputs == FREE).all()
    assert of["up"].outputs.shape == (2, 2)
    assert found.count == 7 + 6 + 4 + 3
    assert {bias.value.name for bias in found.biases} >= {"b1", "b3"}


def test_each_place_of_a_flattened_channel_has_the_channels_factor():
    of = {linear.node.name: linear for linear in trace(chain().graph).linears}
    np.testing.assert_array_equal(of["fc"].inputs[0], np.repeat(of["project"].outputs[0], 16))


def test_a_clip_keeps_the_scale_before_it_and_is_named():
    model = depthwise()
    found = trace(model.graph)
    assert found.count == 0
    _, note = equalize_graph(hostile(model, 3.0))
    assert note.startswith("found nothing to do")
    assert "2 tensors keep their scale before a Clip" in note


def test_a_branch_of_a_subgraph_pins_what_it_reads():
    model = prepare(
        build(
            """
            net (float[1, 3, 4, 4] x, bool c) => (float[1, 2, 4, 4] y, float[1, 4, 4, 4] z) {
              [first] a = Conv (x, w1)
              [second] y = Conv (a, w2)
              [choice] z = If (c) <
                then_branch = one () => (float[1, 4, 4, 4] t) { t = Identity (a) },
                else_branch = two () => (float[1, 4, 4, 4] e) { e = Neg (a) }
              >
            }
            """,
            w1=(4, 3, 1, 1),
            w2=(2, 4, 1, 1),
        )
    )
    assert trace(model.graph).count == 0


def int8_sqnr(model: ir.Model, *settings: str) -> float:
    recipe = STEPS.with_settings(settings)
    repaired = repair_float(model, "f", recipe)
    samples = noise(model, 16)

    named = [Sample(inputs, name=str(i)) for i, inputs in enumerate(samples)]
    record = calibrate(repaired.model, named, fingerprint=repaired.fingerprint, threads=1)
    int8 = quantize_graph(repaired.model, target=get_target("generic"), recipe=recipe, record=record).model
    expected, found = (np.stack([run(m, sample)[0] for sample in samples]) for m in (model, int8))
    return sqnr_db(expected, found)


@pytest.mark.parametrize("granularity", ["per_tensor", "per_channel"])
def test_a_network_that_was_made_hostile_is_as_good_as_before(granularity):
    model, setting = residual(), f"weights.granularity={granularity}"
    spoilt = hostile(model, 3.0)
    healthy = int8_sqnr(model, setting)
    assert int8_sqnr(spoilt, setting, "steps=[]") < healthy - 10
    assert int8_sqnr(spoilt, setting) > healthy - 3


def test_a_record_goes_with_the_steps_that_it_was_made_after():
    model = hostile(residual(), 3.0)
    plain, repaired = repair_float(model, "f", Recipe()), repair_float(model, "f", STEPS)
    assert (plain.model, plain.fingerprint, plain.notes) == (model, "f", ())
    repaired.require(CalibrationRecord(repaired.fingerprint))
    with pytest.raises(RecordError, match="is of the model before `steps: \\[equalize\\]`"):
        repaired.require(CalibrationRecord("f"))
    with pytest.raises(RecordError, match="made with another model"):
        plain.require(CalibrationRecord(repaired.fingerprint))
