"""Models on the same samples, where one of them takes pixels, and where they cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image

import tinyint
from tests.graph.build import build
from tinyint.api.side_by_side import SideBySide
from tinyint.api.subject import Subject
from tinyint.errors import DataError, ModelError
from tinyint.graph.io import save_model
from tinyint.quantization.pixels import PixelSession

DECLARED = tinyint.Preprocessing(
    resize=(8, 8), mean=(0.5, 0.25, 0.1), std=(0.5, 0.2, 1.0), color="BGR", layout="NCHW"
)
QUIET = tinyint.Run(threads=1, verify=False, notice=lambda _: None)


def network(name: str = "image", height: str = "8") -> ir.Model:
    return build(
        f"""
        g (float[N,3,{height},8] {name}) => (float[N,3] logits) {{
          a = Conv <pads = [1, 1, 1, 1]> ({name}, w)  b = Relu (a)  c = GlobalAveragePool (b)
          logits = Flatten (c)
        }}
        """,
        w=(3, 3, 3, 3),
    )


@pytest.fixture
def folded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    save_model(network(), "float.onnx")
    rng = np.random.default_rng(0)
    for i in range(9):
        place = Path("images") / "abc"[i % 3]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (9, 11, 3), np.uint8)).save(place / f"{i}.png")
    samples = tinyint.Samples("images", limit=4, preprocessing=DECLARED)
    tinyint.quantize(
        "float.onnx", samples, output="int8.onnx", recipe={"fold_preprocessing": True}, run=QUIET
    )
    return "int8.onnx"


def subjects(*models: str | ir.Model) -> list[Subject]:
    return [Subject.of(model, "onnxruntime", 1) for model in models]


def test_beside_a_model_of_pixels_a_float_one_preprocesses_them(folded: str) -> None:
    both = SideBySide.of(subjects("float.onnx", folded))
    session = both.subjects[0].session
    assert isinstance(session, PixelSession)
    pixels = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(1, 8, 8, 3)
    given = both.subjects[0].feeds({"image": pixels})["image"]
    # BGR: the first channel is blue. (5 / 255 - 0.5) / 0.5, and red is the last: (3 / 255 - 0.1) / 1.
    assert given.shape == (1, 3, 8, 8)
    assert given[0, 0, 0, 1] == pytest.approx((5 / 255 - 0.5) / 0.5)
    assert given[0, 2, 0, 1] == pytest.approx(3 / 255 - 0.1)
    plain = subjects("float.onnx")[0].session
    np.testing.assert_array_equal(
        session.run({"image": pixels})["logits"], plain.run({"image": given})["logits"]
    )
    assert "each call of float.onnx includes the preprocessing" in both.notices[0]
    with pytest.raises(DataError, match="expected uint8"):
        session.run({"image": given})


@pytest.mark.parametrize("order", [("float.onnx", "int8.onnx"), ("int8.onnx", "float.onnx")])
def test_evaluated_against_float_it_sees_the_same_images(folded: str, order: tuple[str, str]) -> None:
    assert folded in order
    found = tinyint.evaluate(
        order[0],
        "images",
        against=order[1],
        task="classification",
        run=tinyint.Run(threads=1, notice=lambda _: None),
    )
    alone = tinyint.evaluate(
        "float.onnx",
        tinyint.Samples("images", preprocessing=DECLARED),
        task="classification",
        run=tinyint.Run(threads=1, notice=lambda _: None),
    )
    ours = found.metrics if order[0] == "float.onnx" else found.against
    assert ours == alone.metrics


@pytest.mark.usefixtures("folded")
def test_they_are_measured_from_pixels_on() -> None:
    told: list[str] = []
    rows = tinyint.benchmark(
        ["float.onnx", "int8.onnx"],
        "images",
        measure=tinyint.Measurement(warmup=1, accuracy=True, profile=True),
        task="classification",
        run=tinyint.Run(threads=1, notice=told.append),
    )
    assert [row.samples for row in rows] == [9, 9]
    assert all(row.layers for row in rows)
    assert any("float.onnx takes preprocessed images, int8.onnx pixels" in notice for notice in told)


@pytest.mark.usefixtures("folded")
def test_models_of_pixels_alone_take_them_as_they_are() -> None:
    both = SideBySide.of(subjects("int8.onnx", "int8.onnx"))
    assert not both.notices
    assert not any(isinstance(subject.session, PixelSession) for subject in both.subjects)


@pytest.mark.parametrize(("name", "height"), [("picture", "8"), ("image", "9")])
def test_other_inputs_are_refused(name: str, height: str) -> None:
    with pytest.raises(ModelError, match="must take the same inputs"):
        SideBySide.of(subjects(network(), network(name, height)))


def test_an_open_dimension_agrees_with_any() -> None:
    assert SideBySide.of(subjects(network(), network(height="H"))).subjects


@pytest.mark.usefixtures("folded")
def test_beside_a_model_of_pixels_another_input_is_refused() -> None:
    with pytest.raises(ModelError, match="must take the same inputs"):
        SideBySide.of(subjects("int8.onnx", network("picture")))
