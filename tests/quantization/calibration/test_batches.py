"""Samples that are run several at a time."""

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tests.models import inception, residual, transformer
from tests.quantization.calibration.build import run, samples_of, saved
from tinyint.data import Sample
from tinyint.errors import ModelError
from tinyint.graph.flow import observed
from tinyint.graph.prepare import prepare
from tinyint.runtimes import get_runtime


def ranges_of(model: ir.Model, sample: Sample) -> dict[str, tuple[float, float]]:
    """The extrema of every observed tensor, from the tensors themselves; zero if there is nothing."""
    exposed = model.clone()
    names = [value.name or "" for value in observed(model.graph)]
    tensors = {value.name: value for node in exposed.graph for value in node.outputs}
    exposed.graph.outputs.extend(
        tensors[n] for n in names if n in tensors and not tensors[n].is_graph_output()
    )
    found = get_runtime("onnxruntime").open(exposed, threads=1).run(sample.inputs) | dict(sample.inputs)
    return {n: (found[n].min(initial=0.0), found[n].max(initial=0.0)) for n in names}


FOLDED = {
    "frames in the batch, joined again": (
        """
        net (float[N, 4, 3, 16, 16] x) => (float[N, 5] y) {
          frames = Reshape (x, flat) c = Conv (frames, w1) r = Relu (c) v = Reshape (r, apart)
          m = ReduceMean <axes = [1], keepdims = 0> (v) d = Conv (m, w2) g = GlobalAveragePool (d)
          f = Flatten (g) y = MatMul (f, w3)
        }
        """,
        {
            "flat": np.array([-1, 3, 16, 16]),
            "apart": np.array([-1, 4, 8, 14, 14]),
            "w1": (8, 3, 3, 3),
            "w2": (8, 8, 3, 3),
            "w3": (8, 5),
        },
        (1, 4, 3, 16, 16),
    ),
    "windows": (
        """
        net (float[1, 4, 8, 8] x) => (float[1, 16, 4, 4] y) {
          c = Conv (x, w1) s = SpaceToDepth <blocksize = 2> (c) p = Reshape (s, windows)
          q = Conv (p, w2) t = Transpose <perm = [1, 0, 2, 3]> (q) y = Conv (t, w3)
        }
        """,
        {"windows": np.array([4, 4, 4, 4]), "w1": (4, 4, 1, 1), "w2": (1, 4, 1, 1), "w3": (16, 4, 1, 1)},
        (1, 4, 8, 8),
    ),
    "a recurrent net along the width": (
        """
        net (float[1, 4, 1, 9] x) => (float[9, 1, 6] y) {
          c = Conv (x, w1) s = Squeeze (c, two) t = Transpose <perm = [2, 0, 1]> (s)
          l = LSTM <hidden_size = 3, direction = "bidirectional"> (t, wl, rl)
          a = Add (l, l) o = Transpose <perm = [0, 2, 1, 3]> (a) f = Reshape (o, rows) y = MatMul (f, w2)
        }
        """,
        {
            "two": np.array([2]),
            "rows": np.array([9, 1, 6]),
            "w1": (4, 4, 1, 1),
            "wl": (2, 12, 4),
            "rl": (2, 12, 3),
            "w2": (6, 6),
        },
        (1, 4, 1, 9),
    ),
    "regions of an image, as many as there are": (
        """
        net (float[1, 4, 8, 8] x) => (float[R, 5] y) {
          c = Conv (x, w1) k = Greater (x, high) n = NonZero (k) t = Transpose (n) b = Cast <to = 1> (t)
          ids = Gather (n, zero) r = RoiAlign <output_height = 2, output_width = 2, sampling_ratio = 2> (c, b, ids)
          d = Conv (r, w2) f = Flatten (d) y = MatMul (f, w3)
        }
        """,
        {
            "high": np.float32(1.5),
            "zero": np.int64(0),
            "w1": (4, 4, 1, 1),
            "w2": (4, 4, 1, 1),
            "w3": (16, 5),
        },
        (1, 4, 8, 8),
    ),
}


@pytest.mark.parametrize("name", FOLDED)
def test_axis_0_need_not_be_the_batch(name):
    text, weights, shape = FOLDED[name]
    model = prepare(build(text, **weights))
    sample = Sample({"x": np.random.default_rng(0).normal(size=shape).astype(np.float32)})
    record = run(model, [sample])
    wanted = ranges_of(model, sample)
    found = {n: (min(s.lo, 0.0), max(s.hi, 0.0)) for n, s in record.summaries.items()}
    assert found.keys() == wanted.keys()
    for tensor, (lo, hi) in wanted.items():
        assert found[tensor] == pytest.approx((lo, hi), rel=1e-6), tensor


def test_a_batch_at_a_time_gives_what_one_by_one_gives(tmp_path):
    model = residual()
    samples = samples_of(model, count=7)
    one = run(model, samples)
    for size in (2, 3, 7, 20):
        many = run(model, samples, batch_size=size)
        assert many.seen == one.seen
        for name, summary in one.summaries.items():
            other = many.summaries[name]
            assert other.mean_extrema() == pytest.approx(summary.mean_extrema(), rel=1e-5)
            assert other.moving_average() == pytest.approx(summary.moving_average(), rel=1e-5)
            assert (other.elements, other.histogram.total) == (summary.elements, summary.histogram.total)
    # the samples' order and what stands beside them in a batch make no difference
    files = [
        saved(run(model, order, batch_size=3), tmp_path / str(i))
        for i, order in enumerate((samples[:6], samples[5::-1]))
    ]
    assert files[0] == files[1]


def test_batches_of_open_sizes_and_of_infinities():
    model = prepare(
        build(
            """
            net (float[N, R, 4] x) => (float[N, R, 3] y) {
              k = Greater (x, t) m = Where (k, x, fill) a = Add (m, t) s = Sigmoid (a) y = MatMul (s, w)
            }
            """,
            t=np.float32(-1.0),
            fill=np.float32(-np.inf),
            w=(4, 3),
        )
    )
    rng = np.random.default_rng(0)
    shapes = [(1, 6, 4), (1, 6, 4), (1, 3000, 4), (1, 3000, 4), (1, 6, 4)]
    samples = [Sample({"x": rng.normal(size=shape).astype(np.float32)}) for shape in shapes]
    one, many = run(model, samples), run(model, samples, batch_size=4)
    assert one.summaries["a"] == many.summaries["a"]
    assert one.summaries["a"].infinite > 0
    assert many.summaries["y"].mean_extrema() == pytest.approx(one.summaries["y"].mean_extrema(), rel=1e-5)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (inception, r"its input 'x' has the fixed shape \[1, 4, 8, 8\].*batch size of 1"),
        (
            lambda: prepare(
                build(
                    FOLDED["frames in the batch, joined again"][0],
                    **FOLDED["frames in the batch, joined again"][1],
                )
            ),
            "axis 0 of tensor '.' does not count the samples.*batch size of 1",
        ),
    ],
)
def test_what_mixes_samples_is_not_calibrated_in_batches(model, told):
    with pytest.raises(ModelError, match=told):
        run(model(), [], batch_size=2)


def test_the_batch_is_known_through_reshapes():
    run(transformer(), samples_of(transformer()), batch_size=3)
