"""Which networks read the image by convolutions, and what is said of the others."""

import numpy as np
import pytest

from tests.graph.build import build
from tinyint.data import Preprocessing
from tinyint.errors import DataError
from tinyint.graph.prepare import prepare
from tinyint.quantization.pixels.readers import first_convolutions, is_padded

X, Y = "g (float[N,3,8,8] x", "=> (float[N,4,6,6] y"
W = np.ones((4, 3, 3, 3), np.float32)
FIRST, LAST = Preprocessing(), Preprocessing(layout="NHWC")


def names(text: str, declared: Preprocessing = FIRST, **weights: np.ndarray) -> list[str | None]:
    model = prepare(build(text, **({"w": W} | weights)))
    return [conv.outputs[0].name for conv in first_convolutions(model.graph, declared)]


def test_all_readers_are_found():
    text = "g (float[N,3,8,8] x) => (float[N,4,6,6] y) { a = Conv (x, w)  b = Conv (x, v)  y = Add (a, b) }"
    assert names(text, v=2 * W) == ["a", "b"]


def test_through_a_transpose_of_channels_that_come_last():
    text = f"g (float[N,8,8,3] x) {Y}) {{ a = Transpose <perm = [0, 3, 1, 2]> (x)  y = Conv (a, w) }}"
    assert names(text, LAST) == ["y"]


@pytest.mark.parametrize(
    ("text", "declared", "told"),
    [
        (f"{X}, float[N,4,6,6] z) {Y}) {{ a = Conv (x, w)  y = Add (a, z) }}", FIRST, "has 2 inputs ('x', 'z')"),
        ("g (float[3,8,8] x) => (float[3,8,8] y) { y = Relu (x) }", FIRST, "not float32 of four axes"),
        (f"g (uint8[N,3,8,8] x) {Y}) {{ a = Cast <to = 1> (x)  y = Conv (a, w) }}", FIRST, "is UINT8"),
        (f"{X}) {Y}) {{ a = Relu (x)  y = Conv (a, w) }}", FIRST, "is read by Relu"),
        (f"{X}) {Y}, float[N,3,8,8] z) {{ y = Conv (x, w)  z = Abs (x) }}", FIRST, "is read by Abs"),
        (
            f"g (float[N,8,8,3] x) {Y}) {{ a = Transpose <perm = [0, 3, 2, 1]> (x)  y = Conv (a, w) }}",
            LAST,
            "a Transpose to channels first",
        ),
    ],
)  # fmt: skip
def test_other_readers_are_refused(text: str, declared: Preprocessing, told: str):
    with pytest.raises(DataError, match="cannot be folded into the model") as error:
        names(text, declared)
    assert told in str(error.value)
    assert "leave out --fold-preprocessing" in str(error.value)


@pytest.mark.parametrize(
    ("attributes", "padded"),
    [
        ("", False),
        ("<pads = [0, 0, 0, 1]>", True),
        ('<auto_pad = "SAME_UPPER", strides = [2, 2]>', True),
        ('<auto_pad = "VALID">', False),
    ],
)  # fmt: skip
def test_padding(attributes: str, padded: bool):
    model = build(f"g (float[N,3,8,8] x) => (float[N,4,H,W] y) {{ y = Conv {attributes} (x, w) }}", w=W)
    assert is_padded(model.graph[0]) is padded
