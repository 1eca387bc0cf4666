# ruff: noqa: ARG002

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tests.fake_runtime import FakeRuntime
from tests.graph.build import build
from tests.graph.test_serde import zip_map
from tinyint.data import Sample
from tinyint.errors import DataError, DependencyError, ModelError
from tinyint.proof.verify import Cosine, verify
from tinyint.runtimes import get_runtime
from tinyint.runtimes.base import Array, Feeds

ORT = get_runtime("onnxruntime")
IDENTITY = "g (float[N,2] x) => (float[N,2] y) { y = Identity(x) }"
# uint8, scale 0.5, zero-point 4: holds -2, -1.5, …
QUANTIZED = """g (float[N,2] x) => (float[N,2] y)
    <float s = {0.5}, uint8 z = {4}> { q = QuantizeLinear(x, s, z)  y = DequantizeLinear(q, s, z) }"""


def samples(*rows: list[float]) -> list[Sample]:
    return [Sample({"x": np.array([row], np.float32)}, name=f"s{i}") for i, row in enumerate(rows)]


class Rewritten:
    """ONNX Runtime whose optimized sessions add `offset` to the output y, as a kernel at fault would."""

    def __init__(self, offset: list[list[float]]) -> None:
        self.offset = iter(np.array(offset, np.float32))
        self.name = "faulty"

    def available(self) -> str:
        return "1"

    def executed(self, model: object) -> list[object]:
        return []

    def open(self, model: object, **options: object) -> Rewritten:
        self.session = ORT.open(model, threads=1)  # type: ignore[arg-type]
        return self

    def run_transient(self, feeds: Feeds) -> dict[str, Array]:
        return {"y": self.session.run(feeds)["y"] + next(self.offset)}


def test_figures_by_hand() -> None:
    # 0.75 and 1.25 are ties: 1.5 → 2 and 2.5 → 2 halves, so both become 1.0.
    found = verify(
        build(IDENTITY), build(QUANTIZED), samples([0.75, 1.0], [1.0, 1.25]), runtime=ORT, held_out=True
    )
    signal, noise = 0.5625 + 1 + 1 + 1.5625, 2 * 0.0625
    assert found.sqnr_db == pytest.approx(10 * math.log10(signal / noise))
    assert found.output_sqnr_db == {"y": found.sqnr_db}
    # Both int8 rows are [1, 1], whose first class wins; the float model sees the second one as the higher.
    assert found.top1_agreement == 0.0
    first = 1.75 / (math.sqrt(0.5625 + 1) * math.sqrt(2))
    second = 2.25 / (math.sqrt(1 + 1.5625) * math.sqrt(2))
    assert found.cosine == Cosine(min=pytest.approx(first), mean=pytest.approx((first + second) / 2))
    assert (found.lsb_over_1, found.lsb_max) == (0.0, 0.0)
    assert (found.samples, found.held_out, found.runtime, found.integers_equal) == (
        2,
        True,
        "onnxruntime",
        None,
    )


def test_deviation_of_a_quantized_output_is_counted_in_its_own_scale() -> None:
    # 0.5 is one LSB, 1.5 are three: one element of four is off by more than one.
    faulty = Rewritten([[0.5, 0.0], [-1.5, 0.5]])
    found = verify(
        build(QUANTIZED), build(QUANTIZED), samples([1, 2], [3, 4]), runtime=faulty, held_out=False
    )
    assert (found.lsb_over_1, found.lsb_max) == (0.25, 3.0)
    # The float reference rounds as the simulation does, which so is exact; the kernel at fault is not.
    signal, noise = 1 + 4 + 9 + 16, 0.25 + 2.25 + 0.25
    assert found.simulated_sqnr_db == math.inf
    assert found.sqnr_db == pytest.approx(10 * math.log10(signal / noise))


def test_the_scale_is_found_behind_operators_that_move_values() -> None:
    text = """g (float[N,2] x) => (float[N,2] y) <float s = {0.5}, uint8 z = {4}>
        { q = QuantizeLinear(x, s, z)  d = DequantizeLinear(q, s, z)  y = Flatten(d) }"""
    found = verify(build(text), build(text), samples([1, 2]), runtime=Rewritten([[1.0, 0.0]]), held_out=False)
    assert (found.lsb_over_1, found.lsb_max) == (0.5, 2.0)


def test_deviation_of_a_float_output_is_counted_in_parts_of_its_range() -> None:
    # The simulated outputs span 0 (which every quantizer holds) to 255 over both samples: 1 LSB = 1.
    faulty = Rewritten([[0.9, 0.0], [1.2, -3.0]])
    found = verify(
        build(IDENTITY), build(IDENTITY), samples([10, 20], [100, 255]), runtime=faulty, held_out=False
    )
    assert found.lsb_over_1 == 0.5
    assert found.lsb_max == pytest.approx(3.0)


def test_integer_outputs_count_by_element_and_have_no_sqnr() -> None:
    arg = "g (float[N,2] x) => (int64[N,1] y) { y = ArgMax<axis = 1>(x) }"
    other = "g (float[N,2] x) => (int64[N,1] y) { y = ArgMin<axis = 1>(x) }"
    found = verify(build(arg), build(other), samples([1, 2], [3, 3], [4, 1]), runtime=ORT, held_out=True)
    assert found.integers_equal == pytest.approx(1 / 3)
    assert (found.sqnr_db, found.top1_agreement, found.cosine, found.lsb_over_1) == (None, None, None, 0.0)
    assert found.output_sqnr_db == {}


def test_one_class_and_higher_ranks_have_no_top1() -> None:
    text = "g (float[1,N] x) => (float[1,1,N] y) { a = Constant<value_ints = [0]>()  y = Unsqueeze(x, a) }"
    model = build(text)
    found = verify(model, model, samples([1, 2]), runtime=ORT, held_out=True)
    assert found.top1_agreement is None
    assert found.cosine == Cosine(min=pytest.approx(1.0), mean=pytest.approx(1.0))
    assert found.sqnr_db == math.inf


def test_embeddings_have_no_top1_but_probabilities_do() -> None:
    unit = build("g (float[N,2] x) => (float[N,2] y) { y = LpNormalization(x) }")
    signed = verify(unit, unit, samples([1, -2], [-3, 1]), runtime=ORT, held_out=True)
    assert (signed.top1_agreement, signed.cosine) == (
        None,
        Cosine(min=pytest.approx(1), mean=pytest.approx(1)),
    )
    certain = verify(build(IDENTITY), build(IDENTITY), samples([0, 1], [1, 0]), runtime=ORT, held_out=True)
    assert certain.top1_agreement == 1.0


def test_a_runtime_that_is_not_installed_leaves_the_simulation() -> None:
    class Absent(FakeRuntime):
        def open(self, model: object, **options: object) -> object:  # type: ignore[override]
            raise DependencyError("elsewhere")

    found = verify(build(IDENTITY), build(QUANTIZED), samples([0.75, 3]), runtime=Absent(), held_out=True)
    assert (found.runtime, found.lsb_over_1, found.lsb_max) == ("simulation", None, None)
    assert found.top1_agreement == 1.0


def test_openvino_agrees_with_the_simulation() -> None:
    pytest.importorskip("openvino")
    found = verify(
        build(IDENTITY),
        build(QUANTIZED),
        samples([0.75, 1.0], [1.3, 2.25]),
        runtime=get_runtime("openvino"),
        held_out=True,
    )
    assert found.lsb_over_1 == 0.0


@pytest.mark.parametrize("which", ["float", "int8"])
def test_nan_names_output_and_sample(which: str) -> None:
    root = "g (float[N,2] x) => (float[N,2] y) { y = Sqrt(x) }"
    models = [build(root), build(IDENTITY)]
    if which == "int8":
        models.reverse()
    with pytest.raises(ModelError, match=f"output 'y' of the {which} model is NaN for sample s1"):
        verify(*models, samples([1, 2], [-1, 2]), runtime=ORT, held_out=True)


def test_outputs_that_are_infinite_throughout_are_not_judged() -> None:
    infinite = build("g (float[N,2] x) => (float[N,2] y) { z = Sub(x, x) o = Abs(x) y = Div(o, z) }")
    found = verify(infinite, infinite, samples([1, 2], [3, 4]), runtime=ORT, held_out=True)
    assert (found.sqnr_db, found.top1_agreement, found.cosine) == (None, None, None)
    assert not found.outputs["y"].judged


@pytest.mark.parametrize("mask", ["-3.4e38", "-1e30"])
def test_a_mask_in_one_logit_hides_nothing(mask: str) -> None:
    text = f"g (float[N,2] x) => (float[N,3] y) <float[1,1] m = {{{mask}}}> {{ BODY y = Concat<axis = 1>(m, t) }}"
    halves = "q = QuantizeLinear(x, s, z) t = DequantizeLinear(q, s, z)"
    scale = "<float[1,1] m = ", "<float s = {0.5}, uint8 z = {4}, float[1,1] m = "
    masked = build(text.replace("BODY", "t = Identity(x)"))
    rounded = build(text.replace("BODY", halves).replace(*scale))
    found = verify(masked, rounded, samples([0.75, 1.0]), runtime=ORT, held_out=True)
    assert found.sqnr_db == pytest.approx(10 * math.log10(1.5625 / 0.0625))
    assert found.cosine is not None
    assert found.cosine.min == pytest.approx(1.75 / math.sqrt(1.5625 * 2))
    assert found.lsb_over_1 == 0.0


def test_equal_infinities_are_no_noise() -> None:
    log = build("g (float[N,2] x) => (float[N,2] y) { y = Log(x) }")
    assert verify(log, log, samples([0, 2]), runtime=ORT, held_out=True).sqnr_db == math.inf


def test_models_that_do_not_belong_together() -> None:
    other = build("g (float[N,2] x) => (float[N,2] z) { z = Identity(x) }")
    with pytest.raises(ModelError, match="no output 'y', only z"):
        verify(build(IDENTITY), other, samples([1, 2]), runtime=ORT, held_out=True)
    wide = build("g (float[N,2] x) => (float[N,4] y) { y = Concat<axis = 1>(x, x) }")
    with pytest.raises(ModelError, match=r"shape \(1, 2\) in the float model and \(1, 4\)"):
        verify(build(IDENTITY), wide, samples([1, 2]), runtime=ORT, held_out=True)


def test_rows_that_values_decide_are_compared_where_both_have_as_many() -> None:
    text = (
        "g (float[N,2] x) => (float[K] y) <float half = {0.5}, float k = {GAIN}> "
        "{ t = Mul(x, k) where = Greater(t, half) flat = Flatten<axis = 0>(t) w = Flatten<axis = 0>(where) "
        "a = Constant<value_ints = [0]>() f = Squeeze(flat, a) v = Squeeze(w, a) y = Compress(f, v) }"
    )
    plain, gained = build(text.replace("GAIN", "1.0")), build(text.replace("GAIN", "1.1"))
    found = verify(plain, gained, samples([0.48, 2.0], [2.0, 3.0]), runtime=ORT, held_out=True)
    output = found.outputs["y"]
    assert output.unlike == 1
    # As sets: {2} in {0.528, 2.2}, and {2, 3} in {2.2, 3.3}, which is within a tenth: 2 · 3 of 7 rows.
    assert output.rows_matched == pytest.approx(6 / 7)
    assert output.sqnr_db is None


def test_a_sequence_is_compared_element_by_element() -> None:
    text = "g (float[N,2] x) => (seq(float[N,2]) y) { BODY y = SequenceConstruct(x, t) }"
    whole = build(text.replace("BODY", "t = Identity(x)"))
    doubled = build(text.replace("BODY", "t = Add(x, x)"))
    found = verify(whole, doubled, samples([1, 2]), runtime=ORT, held_out=True)
    assert found.output_sqnr_db == {"y[0]": math.inf, "y[1]": 0.0}
    short = build("g (float[N,2] x) => (seq(float[N,2]) y) { y = SequenceConstruct(x) }")
    cut = verify(whole, short, samples([1, 2]), runtime=ORT, held_out=True)
    assert cut.outputs["y[1]"].unlike == 1
    assert cut.output_sqnr_db == {"y[0]": math.inf}


def test_maps_are_compared_as_rows_of_classes(tmp_path: Path) -> None:
    model = zip_map(tmp_path / "float.onnx")
    rows = [Sample({"x": np.eye(1, 4, i, dtype=np.float32)}, name=f"s{i}") for i in range(4)]
    found = verify(model, model, rows, runtime=ORT, held_out=True)
    assert (found.top1_agreement, found.integers_equal) == (1.0, 1.0)
    assert found.output_sqnr_db == {"maps": math.inf}


def test_no_samples() -> None:
    with pytest.raises(DataError, match="no samples"):
        verify(build(IDENTITY), build(QUANTIZED), [], runtime=ORT, held_out=True)


@pytest.mark.filterwarnings("ignore")
def test_a_float_model_that_declares_an_untrue_shape_is_held_to_the_true_one() -> None:
    declared = IDENTITY.replace("float[N,2] y", "float[M,2,1,1] y")
    assert verify(build(declared), build(QUANTIZED), samples([1, 0]), runtime=ORT, held_out=True).samples == 1
    wider = "g (float[N,2] x) => (float[N,4] y) { y = Concat <axis = 1> (x, x) }"
    with pytest.raises(ModelError, match=r"has shape \(1, 2\) in the float model and \(1, 4\)"):
        verify(build(declared), build(wider), samples([1, 0]), runtime=ORT, held_out=True)
