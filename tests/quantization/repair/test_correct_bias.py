import numpy as np
import pytest

import tinyint
from tests.graph.build import build
from tests.models import noise, residual
from tinyint import qat
from tinyint.graph.prepare import prepare
from tinyint.quantization.recipe import Recipe
from tinyint.quantization.repair.channel_means import SampleMeans
from tinyint.quantization.repair.correct_bias import STEP, correction, mean_difference
from tinyint.runtimes import get_runtime

RECIPE = Recipe(steps=("correct_bias",))
ORT = get_runtime("onnxruntime")


def test_the_correction_by_hand():
    # one output of two inputs, two places each: errors of (0.5 - 0.25) and -1, inputs of 10 and 3 in the mean
    weight = np.array([[[[3.0, 1.0], [2.0, 0.0]]]], np.float32)
    stored = np.array([[[[2.5, 1.25], [2.5, 0.5]]]], np.float32)
    np.testing.assert_array_equal(correction(weight, stored, np.array([10.0, 3.0])), [2.5 - 3.0])


def test_groups_have_inputs_of_their_own():
    weight = np.zeros((2, 1, 1, 1), np.float32)
    stored = np.array([1.0, 2.0], np.float32).reshape(2, 1, 1, 1)
    np.testing.assert_array_equal(correction(weight, stored, np.array([5.0, 7.0])), [-5.0, -14.0])


def test_the_mean_over_samples_counts_elements():
    def of(mean: float, elements: int) -> SampleMeans:
        return SampleMeans(np.array([mean, 0.0]), elements)

    exact, found = [of(3, 1), of(1, 3), of(9, 0), of(np.inf, 4)], [of(1, 1), of(2, 3), of(0, 0), of(0, 4)]
    np.testing.assert_array_equal(mean_difference(exact, found), [(2 - 3) / 4, 0])
    assert mean_difference(exact[2:], found[2:]) is None


# Two weights lie between codes, and are rounded the same way: 0.0117 to 0.0157 or 0.0079, a step being 1/127.
PLANTED = {
    "convolution": ("(float[N,3,8,8] x) => (float[N,1,8,8] y) { y = Conv (x, w, b) }", (1, 3, 1, 1)),
    "grouped": ("(float[N,6,8,8] x) => (float[N,2,8,8] y) { y = Conv <group = 2> (x, w, b) }", (2, 3, 1, 1)),
    "matrix": ("(float[N,3] x) => (float[N,1] y) { y = Gemm <transB = 1> (x, w, b) }", (1, 3)),
    "frames": ("(float[N,4,3] x) => (float[N,4,1] y) { z = MatMul (x, w) y = Add (z, b) }", (3, 1)),
}


def planted(name: str):
    text, shape = PLANTED[name]
    weight = np.tile(np.array([1.0, 0.0117, 0.0117], np.float32), max(1, int(np.prod(shape)) // 3))
    return build(
        f"net {text}", w=weight.reshape(shape), b=np.zeros(2 if name == "grouped" else 1, np.float32)
    )


def means(model, samples) -> np.ndarray:
    session = ORT.open(model)
    outputs = np.concatenate([next(iter(session.run(feeds).values())) for feeds in samples])
    return outputs.mean(axis=tuple(i for i in range(outputs.ndim) if outputs.ndim < 3 or i != 1))


@pytest.mark.parametrize("name", PLANTED)
def test_outputs_have_their_mean_again(name):
    model = planted(name)
    rng = np.random.default_rng(0)
    shape = [1, *model.graph.inputs[0].shape[1:]]
    samples = [{"x": rng.uniform(0, 200, shape).astype(np.float32)} for _ in range(32)]

    def off(recipe) -> float:
        run = tinyint.Run(verify=False)
        made = tinyint.quantize(model, [s["x"] for s in samples], recipe=recipe, target="generic", run=run)
        return float(np.abs(means(made.model, samples) - means(model, samples)).max())

    was, now = off(Recipe()), off(RECIPE)
    assert was > 0.4
    assert now < was / 5


def test_the_report_says_what_was_done():
    model = residual()
    data = [sample["x"] for sample in noise(model, 16)]
    report = tinyint.quantize(model, data, recipe=RECIPE, target="generic").report
    assert "correct_bias: corrected the biases of 4 operators" in report.notes
    plain = build("net (float[N,3,8,8] x) => (float[N,4,8,8] y) { y = Conv (x, w) }", w=(4, 3, 1, 1))
    data = [sample["x"] for sample in noise(prepare(plain), 2)]
    report = tinyint.quantize(plain, data, recipe=RECIPE, target="generic").report
    assert any(note.startswith("correct_bias: found nothing to do") for note in report.notes)


def test_what_does_not_hold_on_other_samples_is_undone():
    """Half of them are far from the other half, so that their means say nothing of those."""
    model = residual()
    near, far = noise(model, 4), noise(model, 4, seed=1)
    data = [sample["x"] for sample in near] + [50 * sample["x"] for sample in far]
    options = {"target": "generic", "run": tinyint.Run(verify=False)}
    made, plain = (tinyint.quantize(model, data, recipe=recipe, **options) for recipe in (RECIPE, "default"))
    (note,) = [note for note in made.report.notes if note.startswith("correct_bias")]
    assert note.startswith("correct_bias: undone, since on 4 other samples outputs would be ")
    for feeds in noise(model, 2, seed=2):
        np.testing.assert_array_equal(*(ORT.open(each.model).run(feeds)["y"] for each in (made, plain)))


def test_comparison_takes_a_corrected_model_for_the_float_models_own():
    model = residual()
    data = [sample["x"] for sample in noise(model, 6)]
    made = tinyint.quantize(model, data, recipe=RECIPE, target="generic", run=tinyint.Run(verify=False))
    found = tinyint.compare(model, made.model, tinyint.Samples(data, limit=4))
    assert found.unmatched == ()
    assert min(row.worst_db for row in found.rows if row.kind == "activation") > 20


def test_training_starts_from_corrected_biases():
    model = residual()
    data = [sample["x"] for sample in noise(model, 6)]
    made = tinyint.quantize(model, data, recipe=RECIPE, target="generic", run=tinyint.Run(verify=False)).model
    module = qat.prepare(model, data, recipe=RECIPE, target="generic").eval()
    for feeds in noise(model, 2, seed=1):
        np.testing.assert_allclose(
            next(iter(ORT.open(qat.export(module), optimize=False).run(feeds).values())),
            next(iter(ORT.open(made, optimize=False).run(feeds).values())),
            rtol=0,
            atol=1e-6,
        )


# The first operator's results are clipped at 6 and rounded; the second adds up what that loses.
UPSTREAM = """net (float[N,1,8,8] x) => (float[N,1,8,8] y)
{ p = Conv (x, v, a) r = Relu (p) y = Conv (r, w, b) }"""


def upstream():
    one, eight = (
        np.ones((1, 8, 1, 1), np.float32),
        np.linspace(0.1, 1, 8, dtype=np.float32).reshape(8, 1, 1, 1),
    )
    model = build(UPSTREAM, v=eight, a=np.zeros(8, np.float32), w=one, b=np.zeros(1, np.float32))
    rng = np.random.default_rng(0)
    samples = [{"x": rng.exponential(1, (1, 1, 8, 8)).astype(np.float32)} for _ in range(32)]
    return model, samples


def off(model, made, samples) -> float:
    return float(np.abs(means(made, samples) - means(model, samples)).max())


@pytest.mark.parametrize("target", ["generic", "x86-avx2"])
def test_what_comes_before_an_operator_counts_too(target, tmp_path):
    model, samples = upstream()
    data, clipping = [s["x"] for s in samples], ["calibration=percentile", "percentile=97"]

    def made(steps: str, **source):
        recipe = tinyint.Recipe.load("default").with_settings([*clipping, f"steps=[{steps}]"])
        quiet = tinyint.Run(verify=False)
        return tinyint.quantize(model, recipe=recipe, target=target, run=quiet, **source)

    plain, corrected = made("", data=data), made("correct_bias", data=data)
    corrected.record.save(tmp_path / "record.npz")
    alone = made("correct_bias", calibration=tmp_path / "record.npz")
    was, now, rounding = (off(model, each.model, samples[:16]) for each in (plain, corrected, alone))
    assert was > 0.2
    assert now < 0.8 * was  # what the output itself clips stays
    assert rounding > 0.9 * was
    (note,) = [note for note in alone.report.notes if note.startswith("correct_bias")]
    assert note.endswith(
        "by the rounding of their weights alone; with data beside the record, all before them counts too"
    )
    again = made("correct_bias", data=data, calibration=tmp_path / "record.npz")
    assert off(model, again.model, samples[:16]) == now


def test_transposed_convolutions_are_corrected_by_what_they_make():
    text = "net (float[N,3,8,8] x) => (float[N,2,16,16] y) { y = ConvTranspose <strides = [2, 2]> (x, w, b) }"
    model = prepare(build(text, w=(3, 2, 2, 2), b=(2,)))
    assert STEP.needs(model) == frozenset()
    data = [sample["x"] for sample in noise(model, 4)]
    report = tinyint.quantize(model, data, recipe=RECIPE, target="openvino").report
    assert "correct_bias: corrected the biases of 1 operators" in report.notes
