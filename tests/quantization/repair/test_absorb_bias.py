"""Absorption of high biases: by hand, against the float model, in int8, and by every way to a quantized model."""

import warnings

import numpy as np
import onnx_ir as ir
import pytest
import torch

import tinyint
from tests.graph.build import build
from tests.models import noise, residual
from tinyint import qat
from tinyint.data import Sample
from tinyint.diagnosis.compare import compare
from tinyint.errors import ModelError, RecipeError, RecordError, TinyintWarning
from tinyint.graph.io import save_model
from tinyint.graph.prepare import prepare
from tinyint.graph.walk import constant_of
from tinyint.metadata import DECISIONS
from tinyint.numbers.numerics import sqnr_db
from tinyint.quantization.calibration import CalibrationRecord, calibrate
from tinyint.quantization.calibration.statistics import ChannelExtrema, Request
from tinyint.quantization.recipe import Recipe
from tinyint.quantization.repair import repair_float
from tinyint.quantization.repair.absorb_bias import STEP, absorbed, offsets
from tinyint.quantization.repair.offsets import offset_paths
from tinyint.runtimes import get_runtime

ORT = get_runtime("onnxruntime")
RECIPE = Recipe(steps=("absorb_bias",))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYINT_CACHE_DIR", str(tmp_path / "cache"))


def biased(bias: float = 100.0):
    """Half of the channels are far above zero wherever they are, which the next biases take back."""
    rng = np.random.default_rng(3)
    w1, w2, w3 = (
        0.3 * rng.normal(size=s).astype(np.float32) for s in ((8, 3, 3, 3), (6, 4, 1, 1), (5, 6 * 9))
    )
    high = np.where(np.arange(8) % 2, bias, 0).astype(np.float32)
    back = -np.einsum("gok,gk->go", w2.reshape(2, 3, 4).astype(np.float64), high.reshape(2, 4)).reshape(-1)
    return prepare(
        build(
            """
            net (float[N, 3, 8, 8] x) => (float[N, 5] y) {
              [first] a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
              [relu] r = Relu (a)
              [pool] p = MaxPool <kernel_shape = [2, 2], strides = [2, 2], pads = [1, 1, 1, 1]> (r)
              [second] b = Conv <group = 2> (p, w2, b2)
              [relu2] s = Relu (b)
              [again] q = AveragePool <kernel_shape = [3, 3]> (s)
              [flat] f = Flatten (q)
              [fc] y = Gemm <transB = 1> (f, w3)
            }
            """,
            w1=w1,
            b1=high,
            w2=w2,
            b2=back.astype(np.float32),
            w3=w3,
        )
    )  # fmt: skip


def observer(samples):
    def observe(graph) -> CalibrationRecord:
        named = [Sample(inputs, name=str(i)) for i, inputs in enumerate(samples)]
        return calibrate(graph.model, named, fingerprint=graph.fingerprint, needs=graph.needs, threads=1)

    return observe


def repaired(model, count=6, recipe=RECIPE, **options):
    return repair_float(model, "f", recipe, observe=observer(noise(model, count)), **options)


def run(model, feeds):
    """As the model says, whatever the processor's sums do."""
    return ORT.open(model, threads=1, optimize=False).run(feeds)["y"]


def test_what_is_taken_by_hand():
    # the third channel varies from 1 to 3: of its 3, 2 are left, of the first's 9 nothing; the second is below zero
    lo, hi = np.float32([9, -1, 1]), np.float32([9, 2, 3])
    assert offsets(lo, hi).tolist() == [9, 0, 1]
    # the second channel decides how far the activation ranges, and has nothing to give
    assert offsets(np.float32([1, 0]), np.float32([2, 9])).tolist() == [0, 0]
    # 2 groups of 1 output, 2 inputs, 2 places: 5·(1 + 2) + 7·(3 + 4) and 11·(1 + 1)
    weight = np.float32([[[[1, 2], [3, 4]]], [[[1, 1], [2, 2]]]])
    assert absorbed(weight, np.float32([5, 7, 11, 0])).tolist() == [64, 22]


def test_the_function_is_the_same_where_it_was_calibrated():
    model = biased()
    found = repaired(model)
    (note,) = found.notes
    assert note.startswith("absorb_bias: took up to ")
    assert "4 channels of 1 activations" in note
    bias = constant_of(next(n for n in found.model.graph if n.name == "first").inputs[2])
    assert bias.max() < 10
    for feeds in noise(model, 6):
        np.testing.assert_allclose(run(found.model, feeds), run(model, feeds), atol=1e-3)
    assert found.fingerprint != "f"
    assert found.record.model_fingerprint == found.fingerprint
    assert found.record.statistics == {}
    assert found.record.summaries["r"].hi < 10


def test_the_int8_model_is_nearer_to_float():
    model, samples = biased(), noise(biased(), 8)
    held_out = noise(model, 8, seed=9)

    def sqnr(*settings):
        made = tinyint.quantize(
            model,
            samples,
            target="generic",
            recipe=tinyint.Recipe.load("default").with_settings(settings),
            run=tinyint.Run(verify=False, threads=1),
        ).model
        return sqnr_db(*(np.stack([run(m, feeds) for feeds in held_out]) for m in (model, made)))

    assert sqnr("steps=absorb_bias") > sqnr() + 10


@pytest.mark.parametrize(
    ("change", "paths"),
    [
        (("second", "pads", [1, 1, 1, 1]), {"b"}),
        (("again", "count_include_pad", 1), {"a", "b"}),  # without padding it changes nothing
        (("fc", "alpha", 0.5), {"a"}),
    ],
)
def test_where_c_is_not_given_for_c_channels_are_left_alone(change, paths):
    model = biased()
    name, attribute, value = change
    node = next(n for n in model.graph if n.name == name)
    node.attributes[attribute] = ir.convenience.convert_attribute(attribute, value)
    assert {path.before for path in offset_paths(model.graph)} == paths


def test_a_second_reader_or_an_output_ends_the_path():
    assert {path.before for path in offset_paths(biased().graph)} == {"a", "b"}
    # of the Relus in a residual block, one is read by a convolution alone
    assert [path.before for path in offset_paths(residual().graph)] == ["b"]
    model = biased()
    model.graph.outputs.append(next(v for n in model.graph for v in n.outputs if v.name == "p"))
    assert {path.before for path in offset_paths(model.graph)} == {"b"}


def test_nothing_to_do_is_said_and_changes_nothing():
    model = biased(bias=0.0)
    found = repaired(model)
    assert found.model is model
    assert found.fingerprint == "f"
    assert found.notes == ("absorb_bias: found nothing to do: none of the activations would range less",)
    assert found.record.decisions == {"absorb_bias": {}}
    plain = repair_float(residual(), "f", RECIPE, decisions={})
    assert plain.notes[0].startswith("absorb_bias: found nothing to do")


def test_what_rounding_would_spoil_is_undone_and_said():
    # beside 2^27, float32 tells apart multiples of 16: the biases after cannot give back what was taken
    model = biased(bias=2.0**27)
    _, weight, bias = next(n for n in model.graph if n.name == "second").inputs
    signs = np.tile(np.float32([0, 1, 0, -1]).reshape(1, 4, 1, 1), (6, 1, 1, 1))
    weight.const_value = ir.tensor(signs, name=weight.name)
    bias.const_value = ir.tensor(np.zeros(6, np.float32), name=bias.name)
    found = repaired(model)
    assert found.model is model
    assert found.fingerprint == "f"
    assert found.undone == found.notes
    assert "absorb_bias: undone, since tensor" in found.notes[0]
    assert found.record.decisions == {"absorb_bias": {}}
    with pytest.warns(TinyintWarning, match="absorb_bias: undone"):
        qat.prepare(model, [next(iter(s.values())) for s in noise(model, 6)], recipe=RECIPE, target="generic")


def test_a_record_tells_again_what_was_decided(tmp_path):
    path, model = tmp_path / "net.onnx", biased()
    save_model(model, path)
    data = [next(iter(s.values())) for s in noise(model, 6)]
    recipe = Recipe(steps=("absorb_bias",))
    options = {"recipe": recipe, "target": "generic", "run": tinyint.Run(verify=False, threads=1)}
    first = tinyint.quantize(path, data, output=tmp_path / "int8.onnx", **options)
    again = tinyint.quantize(path, calibration=tmp_path / "int8.calibration.npz", **options)
    for feeds in noise(model, 2, seed=1):
        np.testing.assert_array_equal(run(first.model, feeds), run(again.model, feeds))
    plain = tinyint.quantize(path, data, **{**options, "recipe": Recipe()})
    with pytest.raises(RecordError, match=r"before `steps: \[absorb_bias\]`.*made with this step"):
        tinyint.quantize(path, calibration=plain.record, **options)
    spoilt = first.record
    for lie in ([1.0], "many", [-1.0] * 8, [float("nan")] * 8):
        spoilt.decisions["absorb_bias"] = {"a": lie}
        with pytest.raises(RecordError, match="what absorb_bias decided for tensor 'a' does not go with"):
            tinyint.quantize(path, calibration=spoilt, **options)


def test_a_comparison_looks_at_the_shifted_tensors():
    model = biased()
    data = [next(iter(s.values())) for s in noise(model, 6)]
    int8 = tinyint.quantize(
        model,
        data,
        target="generic",
        recipe=tinyint.Recipe.load("default").with_settings(["steps=[equalize, absorb_bias]"]),
        run=tinyint.Run(verify=False),
    ).model
    found = compare(model, int8, [Sample(inputs, name=str(i)) for i, inputs in enumerate(noise(model, 4))])
    assert found.unmatched == ()
    assert min(row.worst_db for row in found.rows) > 15
    int8.metadata_props[DECISIONS] = "[]"
    with pytest.raises(ModelError, match=r"metadata tinyint\.decisions are no JSON of decisions"):
        compare(model, int8, [])


def test_training_starts_from_it_and_exports_it():
    model = biased()
    data = [next(iter(s.values())) for s in noise(model, 8)]
    module = qat.prepare(model, data, recipe=RECIPE, target="generic").eval()
    made = qat.export(module)
    assert "absorb_bias" in made.metadata_props["tinyint.decisions"]
    for feeds in noise(model, 2, seed=1):
        expected = run(model, feeds)
        with torch.no_grad():
            trained = module(torch.from_numpy(feeds["x"])).numpy()
        np.testing.assert_allclose(
            ORT.open(made, optimize=False).run(feeds)["y"], trained, atol=1e-5 * np.abs(expected).max()
        )
        assert np.abs(trained - expected).max() < 0.1 * np.abs(expected).max()
    again = qat.prepare(model, module.origin.record, recipe=RECIPE, target="generic")
    assert again.origin.fingerprint == module.origin.fingerprint
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TinyintWarning)
        assert "tinyint.decisions" in qat.export(module, target="tensorrt").metadata_props


def test_it_needs_samples():
    assert repaired(biased()).decisions["absorb_bias"].keys() == {"a"}
    assert STEP.needs(biased()) == {Request(statistic=ChannelExtrema, tensor=name) for name in ("a", "b")}
    with pytest.raises(RecipeError, match=r"`steps: \[absorb_bias\]` works by calibration.*not dynamic"):
        tinyint.quantize(biased(), recipe=tinyint.Recipe.load("dynamic").with_settings(["steps=absorb_bias"]))
