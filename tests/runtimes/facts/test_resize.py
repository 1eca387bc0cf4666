"""How exact Resize of bytes is against Pillow: antialias on ONNX Runtime 1.31 and OpenVINO 2026.4, and nearest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image

from tests.graph.build import build
from tests.processor import X86
from tinyint.errors import ModelError
from tinyint.graph.io import save_model
from tinyint.runtimes import get_runtime

pytestmark = X86

SMOOTH = "antialias = 1, exclude_outside = 1"
RESIZE = {
    "bilinear": f'mode = "linear", {SMOOTH}',
    "bicubic": f'mode = "cubic", cubic_coeff_a = -0.5, {SMOOTH}',
    "nearest": 'mode = "nearest", nearest_mode = "round_prefer_ceil"',
}
# (height, width) before and after: smaller, larger, and both; Pillow's horizontal pass comes first in all of them
SIZES = [
    ((75, 100), (51, 68)),
    ((100, 75), (68, 51)),
    ((40, 50), (64, 80)),
    ((48, 96), (56, 56)),
    ((60, 80), (56, 80)),
]


def model_of(attributes: str) -> ir.Model:
    inputs, outputs = "uint8[N,H,W,C] x, int64[2] size", "uint8[N,A,B,C] y"
    resize = f"Resize <axes = [1, 2], {attributes}> (x, , , size)"
    return build(f"g ({inputs}) => ({outputs}) {{ y = {resize} }}", opset=18)


def resized(image: np.ndarray, size: tuple[int, int], attributes: str) -> np.ndarray:
    session = get_runtime("onnxruntime").open(model_of(attributes), threads=1)
    return session.run({"x": image[None], "size": np.array(size)})["y"][0]


def by_pillow(image: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    method = Image.Resampling[interpolation.upper()]
    return np.asarray(Image.fromarray(image).resize(size[::-1], method))


def noise(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.mark.parametrize(("before", "after"), SIZES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_onnxruntime_is_as_pillow_but_for_ties(
    interpolation: str, before: tuple[int, int], after: tuple[int, int]
) -> None:
    """Its weights are of float32, Pillow's of double, which turns some sums that end in a half."""
    found = resized(noise(before), after, RESIZE[interpolation]).astype(int)
    off = np.abs(found - by_pillow(noise(before), after, interpolation))
    assert off.max() <= 1
    assert (off > 0).mean() < 0.06  # most where factors are simple, as 6 / 5 is, and sums often end in a half


def test_without_exclude_outside_its_borders_are_others() -> None:
    attributes = RESIZE["bilinear"].replace("exclude_outside = 1", "exclude_outside = 0")
    found = resized(noise((75, 100)), (51, 68), attributes).astype(int)
    off = np.abs(found - by_pillow(noise((75, 100)), (51, 68), "bilinear"))
    assert off[1:-1, 1:-1].max() <= 1 < off.max()


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_nearest_takes_pillows_pixels_but_for_ties(before: tuple[int, int], after: tuple[int, int]) -> None:
    """A tie is a pixel whose centre, (2 o + 1) / 2 · before / after, falls between two.

    Not on OpenVINO 2026.4.1, which in some runs damages its memory where sizes are open (glibc's MALLOC_CHECK_=3).
    """
    found = resized(noise(before), after, RESIZE["nearest"])
    rows, columns = ((2 * np.arange(b) + 1) * a % (2 * b) != 0 for a, b in zip(before, after, strict=True))
    assert min(rows.mean(), columns.mean()) > 0.8
    expected = by_pillow(noise(before), after, "nearest")
    assert np.array_equal(found[rows][:, columns], expected[rows][:, columns])


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_openvino_ignores_antialias_so_that_it_is_refused(interpolation: str, tmp_path: Path) -> None:
    """By itself, OpenVINO gives the same with antialias and without."""
    openvino = pytest.importorskip("openvino")
    text = "g (float[1,75,100,3] x) => (float[1,51,68,3] y) {{ y = Resize <axes = [1, 2], {}> (x, , , s) }}"
    image, made = noise((75, 100))[None].astype(np.float32), []
    for smooth in (1, 0):
        attributes = RESIZE[interpolation].replace(SMOOTH, f"antialias = {smooth}")
        path = tmp_path / f"{smooth}.onnx"
        save_model(build(text.format(attributes), opset=18, s=np.array([51, 68])), path)
        compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        made.append(compiled([image])[0])
    assert np.array_equal(*made)
    with pytest.raises(ModelError, match="openvino ignores the antialias"):
        get_runtime("openvino").open(tmp_path / "1.onnx")
    assert get_runtime("openvino").open(tmp_path / "0.onnx").inputs


def test_openvino_runs_a_resize_that_antialias_does_not_change() -> None:
    pytest.importorskip("openvino")
    resize = f"Resize <axes = [1, 2], {RESIZE['bilinear']}> (x, , , s)"
    text = f"g (float[1,8,8,1] x) => (float[1,16,16,1] y) {{ y = {resize} }}"
    grows = build(text, opset=18, s=np.array([16, 16]))
    assert get_runtime("openvino").open(grows, threads=1).inputs
