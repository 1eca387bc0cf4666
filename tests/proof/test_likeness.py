"""Runtimes that compute something else than the model says."""

from __future__ import annotations

import numpy as np
import pytest

from tests.graph.build import build, feeds_of, run
from tests.proof.test_saturation import AVX2, VNNI, made
from tinyint.proof import likeness
from tinyint.proof.likeness import saturating, unlike

MODEL = build("g (float[2,16] x) => (float[2,8] y) { y = MatMul (x, w) }", w=(16, 8))
FEEDS = feeds_of(MODEL)
RIGHT = run(MODEL, FEEDS)[0]


def noisy(db: float, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=RIGHT.shape)
    return (RIGHT + noise * np.linalg.norm(RIGHT) / np.linalg.norm(noise) * 10 ** (-db / 20)).astype(
        np.float32
    )


@pytest.mark.parametrize(
    ("db", "out"),
    [
        ({"a": 60, "b": 25}, []),  # like each other
        ({"a": 60, "b": 15}, ["b"]),
        ({"a": 3, "b": 60}, ["a"]),
        ({"a": 12, "b": 14}, []),  # both as far off: the model itself is coarse
        ({"a": 2, "b": 14}, ["a"]),
    ],
)
def test_the_simulation_decides_between_outputs_that_differ(db: dict[str, float], out: list[str]) -> None:
    outputs = {name: {"y": noisy(value, seed)} for seed, (name, value) in enumerate(db.items())}
    assert list(unlike(MODEL, FEEDS, outputs)) == out


def test_the_reason_has_the_distance() -> None:
    told = unlike(MODEL, FEEDS, {"a": {"y": RIGHT}, "b": {"y": noisy(3)}})
    assert told == {"b": "computes something else than the model says (3 dB from it)"}


def test_zeros_nan_and_another_shape_are_something_else() -> None:
    for wrong in (np.zeros_like(RIGHT), np.full_like(RIGHT, np.nan), RIGHT[:1]):
        assert list(unlike(MODEL, FEEDS, {"a": {"y": RIGHT}, "b": {"y": wrong}})) == ["b"]


def test_outputs_after_jumps_and_integers_are_not_compared() -> None:
    model = build("g (float[2,4] x) => (float[2,4] y) { y = Round (x) }")
    x = np.full((2, 4), 0.5, np.float32)
    assert unlike(model, {"x": x}, {"a": {"y": x * 0}, "b": {"y": x * 2}}) == {}
    codes = {"a": {"i": np.array([1])}, "b": {"i": np.array([2])}}
    assert unlike(MODEL, FEEDS, codes) == {}


def test_one_runtime_or_none_is_not_compared() -> None:
    assert unlike(MODEL, FEEDS, {"a": {"y": RIGHT}}) == {}
    assert unlike(MODEL, FEEDS, {}) == {}


def test_a_runtime_on_which_products_saturate_is_out_if_another_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = ["onnxruntime", "openvino"]
    for_x86, for_vnni = made("x86-avx2"), made("openvino")
    monkeypatch.setattr(likeness, "host", lambda: AVX2)
    monkeypatch.setattr(
        likeness,
        "saturation",
        lambda model, name: "saturates" if (model is for_vnni or name == "openvino") else None,
    )
    assert saturating(for_x86, both) == {"openvino": "saturates"}
    assert saturating(for_x86, ["openvino"]) == {}
    assert saturating(for_vnni, both) == {}
    monkeypatch.setattr(likeness, "host", lambda: VNNI)
    assert saturating(for_x86, both) == {}
