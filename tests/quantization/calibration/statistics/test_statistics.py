"""The statistics of channels: against numbers by hand, as a monoid, in a graph, and in a record's file."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.graph.build import build
from tests.models import noise, residual
from tinyint.data import Sample
from tinyint.errors import DataError, RecordError
from tinyint.graph.prepare import prepare
from tinyint.quantization.calibration import CalibrationRecord, calibrate
from tinyint.quantization.calibration.cache import cache_key
from tinyint.quantization.calibration.statistics import (
    STATISTICS,
    ChannelExtrema,
    ChannelMeans,
    Gram,
    Request,
    Statistic,
)
from tinyint.runtimes import get_runtime

PARTS = {
    ChannelExtrema: lambda x: [x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)],
    ChannelMeans: lambda x: [x.mean(axis=1, keepdims=True)],
    Gram: lambda x: [x @ x.T],
}
KINDS = list(PARTS)
samples = st.lists(
    st.integers(1, 4).flatmap(
        lambda n: hnp.arrays(np.float32, (3, n), elements=st.floats(-(2.0**40), 2.0**40, width=32))
    ),
    min_size=1,
    max_size=5,
)


def statistic_of(kind: type[Statistic], tensors) -> Statistic:
    """Of tensors (channels, elements), one a sample."""
    made = kind()
    for x in tensors:
        made.update(PARTS[kind](np.float32(x)), np.shape(x)[1])
    return made


def test_numbers_by_hand():
    tensors = [[[1, 3], [-2, 0]], [[5], [-8]]]
    extrema, means, gram = (statistic_of(kind, tensors) for kind in KINDS)
    assert extrema.lo.tolist() == [1, -8]
    assert extrema.hi.tolist() == [5, 0]
    assert means.means().tolist() == [3, -10 / 3]  # (1 + 3 + 5) / 3 and (-2 + 0 - 8) / 3
    assert gram.matrices().tolist() == [[[35, -42], [-42, 68]]]  # 1 + 9 + 25, -2 + 0 - 40, 4 + 0 + 64


def test_every_statistic_is_tested_here():
    assert sorted(PARTS, key=lambda kind: kind.name) == [STATISTICS[name] for name in sorted(STATISTICS)]


@pytest.mark.parametrize("kind", KINDS)
@given(samples, st.randoms(use_true_random=False), st.integers(0, 5))
def test_any_order_and_split_give_the_same_bits(kind, tensors, random, cut):
    shuffled = list(tensors)
    random.shuffle(shuffled)
    left, right = statistic_of(kind, shuffled[:cut]), statistic_of(kind, shuffled[cut:])
    left.merge(right)
    whole = statistic_of(kind, tensors)
    assert left == whole
    assert all(
        a.tobytes() == b.tobytes()
        for a, b in zip(left.to_arrays().values(), whole.to_arrays().values(), strict=True)
    )


@pytest.mark.parametrize("kind", KINDS)
@given(samples)
def test_a_stored_one_is_the_same(kind, tensors):
    made = statistic_of(kind, tensors)
    header, arrays = json.loads(json.dumps(made.to_header())), made.to_arrays()
    assert {name: (a.dtype, a.shape) for name, a in arrays.items()} == kind.layout(header)
    assert kind.from_stored(header, arrays) == made


NEEDS = frozenset(
    {
        Request(statistic=ChannelExtrema, tensor="a"),
        Request(statistic=ChannelMeans, tensor="ar"),
        Request(statistic=Gram, tensor="f"),
        Request(statistic=ChannelMeans, tensor="x", axis=3),
    }
)


def observed(count=5, **options) -> CalibrationRecord:
    model = residual()
    named = [Sample(inputs, name=f"s{i}") for i, inputs in enumerate(noise(model, count))]
    return calibrate(model, named, fingerprint="f", needs=NEEDS, threads=1, **options)


def tensor(name: str, count=5) -> np.ndarray:
    model = residual()
    values = {value.name: value for node in model.graph for value in node.outputs}
    if name != "x":
        model.graph.outputs.append(values[name])
    session = get_runtime("onnxruntime").open(model, threads=1)
    return np.concatenate([{**s, **session.run(s)}[name] for s in noise(model, count)])


def test_the_graph_is_observed_as_numpy_would():
    record = observed()
    extrema, pre = record.statistic(Request(statistic=ChannelExtrema, tensor="a")), tensor("a")
    np.testing.assert_array_equal(extrema.lo, pre.min(axis=(0, 2, 3)))
    np.testing.assert_array_equal(extrema.hi, pre.max(axis=(0, 2, 3)))
    for name, axis in (("ar", 1), ("x", 3)):
        means = record.statistic(Request(statistic=ChannelMeans, tensor=name, axis=axis)).means()
        others = tuple(i for i in range(4) if i != axis)
        np.testing.assert_allclose(means, tensor(name).astype(np.float64).mean(axis=others), atol=1e-6)
    (gram,) = record.statistic(Request(statistic=Gram, tensor="f")).matrices()
    x = tensor("f").astype(np.float64)
    np.testing.assert_allclose(gram, x.T @ x, rtol=1e-5, atol=1e-5 * np.abs(gram).max())
    assert all(statistic.samples == 5 for statistic in record.statistics.values())


def test_summaries_are_what_they_are_without():
    model = residual()
    named = [Sample(inputs) for inputs in noise(model, 5)]
    assert calibrate(model, named, fingerprint="f", threads=1).summaries == observed().summaries


@pytest.mark.parametrize("size", [2, 5])
def test_batches_are_told_apart(size):
    one, many = observed(), observed(batch_size=size)
    for need in NEEDS:
        assert many.statistics[need].samples == 5
        for name, array in one.statistics[need].to_arrays().items():
            if need.tensor == "x":  # not computed
                np.testing.assert_array_equal(many.statistics[need].to_arrays()[name], array)
    need = Request(statistic=ChannelExtrema, tensor="a")
    np.testing.assert_allclose(many.statistic(need).lo, one.statistic(need).lo, rtol=1e-5)


def test_files_keep_them_and_merge(tmp_path):
    whole = observed()
    whole.decisions["some_step"] = {"a": [1.5, 0.0]}
    whole.save(tmp_path / "record.npz")
    loaded = CalibrationRecord.load(tmp_path / "record.npz")
    assert loaded == whole
    assert loaded.statistics.keys() == NEEDS
    model = residual()
    named = [Sample(inputs) for inputs in noise(model, 5)]
    parts = [
        calibrate(model, part, fingerprint="f", needs=NEEDS, threads=1) for part in (named[2:], named[:2])
    ]
    parts[0].merge(parts[1])
    parts[0].decisions.update(whole.decisions)
    assert parts[0] == whole
    parts[0].save(tmp_path / "merged.npz")
    assert (tmp_path / "merged.npz").read_bytes() == (tmp_path / "record.npz").read_bytes()
    with pytest.raises(
        RecordError, match="only one of two calibration records has the channel_extrema of 'a'"
    ):
        whole.merge(CalibrationRecord("f"))


def test_a_record_without_them_has_the_format_that_it_had(tmp_path):
    for record, form in ((calibrate_plainly(), 2), (observed(), 3)):
        record.save(tmp_path / "record.npz")
        with np.load(tmp_path / "record.npz") as arrays:
            assert json.loads(arrays["header"].tobytes())["format"] == form


def calibrate_plainly() -> CalibrationRecord:
    model = residual()
    return calibrate(model, [Sample(s) for s in noise(model, 2)], fingerprint="f", threads=1)


LIES = {
    "another kind": {"kind": "median"},
    "more channels than there are": {"channels": 9},
    "no number": {"channels": "many"},
    "a negative number": {"channels": -8},
    "a bomb": {"channels": 2**31},
    "fewer samples": {"samples": 4},
    "no tensor": {"tensor": None, "kind": "gram"},
}


@pytest.mark.parametrize("lie", LIES)
def test_headers_that_are_untrue_are_refused(tmp_path, lie):
    path = tmp_path / "lie.npz"
    observed().save(path)
    with np.load(path) as whole:
        arrays = dict(whole)
    header = json.loads(arrays["header"].tobytes())
    header["statistics"][0] |= LIES[lie]
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez_compressed(path, **arrays)
    with pytest.raises(RecordError, match=r"lie\.npz: .*tinyint calibrate"):
        CalibrationRecord.load(path)


def test_what_was_not_asked_for_is_not_there():
    with pytest.raises(RecordError, match="lacks the gram of 'c' along axis 1, which a step"):
        observed().statistic(Request(statistic=Gram, tensor="c"))


def test_the_cache_keeps_records_apart_by_what_was_asked():
    plain, asked = cache_key("m", "d"), cache_key("m", "d", NEEDS)
    assert plain == cache_key("m", "d", frozenset())
    assert len({plain, asked, cache_key("m", "d", frozenset(list(NEEDS)[:1]))}) == 3
    assert asked == cache_key("m", "d", frozenset(sorted(NEEDS, key=str, reverse=True)))


def test_an_interrupted_run_goes_on_only_for_the_same_statistics(tmp_path):
    checkpoint, model = tmp_path / "half.npz", residual()
    named = [Sample(inputs, name=f"s{i}") for i, inputs in enumerate(noise(model, 5))]

    def interrupted():
        yield from named[:3]
        raise KeyboardInterrupt

    class Data(list):
        def __iter__(self):
            return interrupted()

    for needs in (NEEDS, frozenset()):
        with pytest.raises(KeyboardInterrupt):
            calibrate(model, Data(named), fingerprint="f", needs=NEEDS, threads=1, checkpoint=checkpoint)
        assert CalibrationRecord.load(checkpoint).samples == 3
        resumed = calibrate(model, named, fingerprint="f", needs=needs, threads=1, checkpoint=checkpoint)
        assert resumed.statistics == (observed().statistics if needs else {})
        assert resumed.samples == 5


def test_infinities_are_refused_where_channels_are_asked_for():
    model = prepare(
        build(
            "g (float[N, 4] x) => (float[N, 3] y) { m = Div (x, zero) y = MatMul (m, w) }",
            zero=np.float32(0.0),
            w=(4, 3),
        )
    )
    need = Request(statistic=ChannelMeans, tensor="m")
    with pytest.raises(DataError, match=r"sample s: tensor 'm' holds infinities.*channel_means"):
        calibrate(
            model, [Sample({"x": np.ones((1, 4), np.float32)}, name="s")], fingerprint="f", needs={need}
        )
