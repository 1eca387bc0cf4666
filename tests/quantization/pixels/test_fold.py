"""Float graphs of pixels: the function of the network after the preprocessing, at its borders too."""

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graph.build import build, run
from tinyint.data import Preprocessing
from tinyint.errors import DataError
from tinyint.graph.prepare import prepare
from tinyint.graph.walk import constant_of
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.calibration.statistics import ChannelMeans, Request
from tinyint.quantization.pixels.fold import Folded, folded
from tinyint.targets import get_target

X86, TENSORRT = get_target("x86-vnni"), get_target("tensorrt")
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
LITE = {"scale": 1.0, "mean": 127.0, "std": 128.0}
PIXELS = np.random.default_rng(5).integers(0, 256, (2, 9, 8, 3), dtype=np.uint8)


def network(attributes: str = "pads = [1, 1, 1, 1]", shape: str = "N,3,9,8", groups: int = 1) -> ir.Model:
    text = f"g (float[{shape}] x) => (float[N,6,H,W] y) {{ y = Conv <{attributes}, group = {groups}> (x, w, b) }}"
    return prepare(build(text, w=(6, 3 // groups, 3, 3), b=(6,)))


def both(model: ir.Model, declared: Preprocessing, target=X86) -> tuple[np.ndarray, np.ndarray, Folded]:
    """Outputs of the network on preprocessed images, and of the folded one on pixels."""
    made = folded(model, declared, target)
    images = np.stack([declared.scaled(image) for image in PIXELS])
    return run(model, {"x": images})[0], run(made.model, {"x": PIXELS})[0], made


def assert_same(expected: np.ndarray, found: np.ndarray) -> None:
    assert np.abs(found - expected).max() <= 1e-5 * np.ptp(expected)


@pytest.mark.parametrize("target", [X86, TENSORRT], ids=lambda target: target.name)
@pytest.mark.parametrize("keys", [IMAGENET, LITE, {}], ids=["imagenet", "lite", "plain"])
@pytest.mark.parametrize(
    "attributes", ["pads = [0, 0, 0, 0]", "pads = [1, 0, 2, 1]", 'auto_pad = "SAME_UPPER", strides = [2, 2]']
)
def test_the_function_is_the_same(attributes: str, keys: dict[str, object], target):
    expected, found, made = both(network(attributes), Preprocessing.parse(keys), target)
    assert_same(expected, found)
    (pixels,) = made.model.graph.inputs
    assert (pixels.name, pixels.dtype, pixels.shape) == ("x", ir.DataType.UINT8, ir.Shape(["N", 9, 8, 3]))


@settings(max_examples=30, deadline=None)
@given(
    mean=st.lists(st.floats(-0.5, 1), min_size=3, max_size=3),
    std=st.lists(st.floats(0.05, 2), min_size=3, max_size=3),
    scale=st.sampled_from([1 / 255, -1 / 255, 1 / 128]),
    color=st.sampled_from(["RGB", "BGR"]),
    pads=st.lists(st.integers(0, 2), min_size=4, max_size=4),
)
def test_any_mean_and_std(mean: list[float], std: list[float], scale: float, color: str, pads: list[int]):
    declared = Preprocessing.parse({"mean": mean, "std": std, "scale": scale, "color": color})
    expected, found, _ = both(network(f"pads = {pads}"), declared)
    assert_same(expected, found)


def test_a_mean_that_is_a_code_needs_no_channel_more():
    assert both(network(), Preprocessing.parse(LITE))[2].level == 0
    assert both(network(), Preprocessing.parse(IMAGENET))[2].level > 0
    assert both(network("pads = [0, 0, 0, 0]"), Preprocessing.parse(IMAGENET))[2].level == 0


@pytest.mark.parametrize("shape", ["N,3,H,W", "N,3,9,W"])
def test_open_sizes(shape: str):
    expected, found, _ = both(network(shape=shape), Preprocessing.parse(IMAGENET))
    assert_same(expected, found)


def test_channels_that_come_last():
    text = """g (float[N,9,8,3] x) => (float[N,6,9,8] y) {
      a = Transpose <perm = [0, 3, 1, 2]> (x)  y = Conv <pads = [1, 1, 1, 1]> (a, w)
    }"""
    expected, found, made = both(
        prepare(build(text, w=(6, 3, 3, 3))), Preprocessing.parse(IMAGENET | {"layout": "NHWC"})
    )
    assert_same(expected, found)
    assert made.model.graph.inputs[0].shape == ir.Shape(["N", 9, 8, 3])


def test_two_readers_of_which_one_is_padded():
    text = """g (float[N,3,9,8] x) => (float[N,6,9,8] y) {
      a = Conv <pads = [1, 1, 1, 1]> (x, w, b)  c = Conv (x, v)  y = Add (a, c)
    }"""
    expected, found, _ = both(
        prepare(build(text, w=(6, 3, 3, 3), b=(6,), v=(6, 3, 1, 1))), Preprocessing.parse(IMAGENET)
    )
    assert_same(expected, found)


def test_groups():
    expected, found, _ = both(network(groups=3), Preprocessing.parse(LITE))
    assert_same(expected, found)
    for keys, told in (
        ({"color": "BGR"}, "the order of RGB"),
        (IMAGENET, "no code is the mean of them all (123.675, 116.28, 103.53)"),
    ):
        with pytest.raises(DataError) as error:
            folded(network(groups=3), Preprocessing.parse(keys), X86)
        assert told in str(error.value)


def test_the_users_graph_is_not_changed():
    model = network()
    before = constant_of(model.graph[0].inputs[1])
    folded(model, Preprocessing.parse(IMAGENET), X86)
    assert model.graph.inputs[0].dtype is ir.DataType.FLOAT
    assert np.array_equal(constant_of(model.graph[0].inputs[1]), before)


@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_means_for_the_correction_of_biases(color: str):
    """Those of the image become those of pixels less the zero-point, in the order of the pixels, with the level."""
    declared = Preprocessing.parse(IMAGENET | {"color": color})
    made = folded(network(), declared, X86)
    images = np.stack([declared.scaled(image) for image in PIXELS])
    seen = ChannelMeans()
    seen.update([images.mean((0, 2, 3))], 144)
    request = Request(statistic=ChannelMeans, tensor="x")
    record = made.known(CalibrationRecord("f", statistics={request: seen}))
    (moved,) = set(record.statistics) - {request}
    assert moved.tensor == made.after
    means = record.statistic(moved)
    assert isinstance(means, ChannelMeans)
    assert means.means() == pytest.approx(
        [each / 64 for each in (*PIXELS.mean((0, 1, 2)) - made.codes.zero_point, made.level)], abs=1e-3
    )
