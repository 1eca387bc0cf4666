"""The verb `open`: which runtime, with which settings, and what is said."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import tinyint
from tests.graph.build import build
from tinyint.api import opening
from tinyint.errors import DataError, DependencyError, ModelError, TargetError, TinyintWarning
from tinyint.graph.io import save_model
from tinyint.graph.source import ModelSource
from tinyint.proof import choice
from tinyint.proof.choice import Choice
from tinyint.runtimes import Feeds
from tinyint.runtimes.apart import Apart, Failure, run_all
from tinyint.runtimes.host import host

EITHER = {"onnxruntime", "openvino"}


class Here:
    """Runs what would run in a child process, which costs seconds; `tests/runtimes/test_apart.py` has real ones."""

    fresh = True

    def __init__(self, runtime: str) -> None:
        self.runtime = runtime

    def run_all(self, model: ModelSource, threads: int | None, feeds: Sequence[Feeds], _: float) -> object:
        return run_all(self.runtime, model, threads, feeds)

    def leave(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "Apart", Here)
    monkeypatch.setattr(choice, "_SECONDS", 0.01)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TINYINT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "choices"


def test_auto_is_measured_once_and_said(model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "Apart", Apart)
    told: list[str] = []
    first = tinyint.open(model, "auto", threads=1, notice=told.append)
    assert first.choice is not None
    assert set(first.choice.milliseconds) == EITHER
    (notice,) = told
    assert notice == f"{model} {first.choice}"
    assert f"runs on {first.runtime}: " in notice
    assert " ms a call, " in notice
    (path,) = cache.iterdir()
    assert json.loads(path.read_text())["runtime"] == first.runtime

    monkeypatch.setattr(opening, "choose", None)  # not again
    again = tinyint.open(model, "auto", threads=1, notice=told.append)
    assert len(told) == 1
    assert (again.runtime, again.choice.remembered if again.choice else None) == (first.runtime, True)


def test_what_is_remembered_is_taken(model: Path, cache: Path) -> None:
    for runtime in sorted(EITHER):
        tinyint.open(model, "auto", threads=1, notice=len)
        (path,) = cache.iterdir()
        path.write_text(json.dumps({"runtime": runtime}))
        assert tinyint.open(model, "auto", threads=1).runtime == runtime


def test_a_runtime_that_had_no_more_time_is_tried_again_another_time(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Here, "run_all", lambda *_: Failure.STUCK)
    opened = tinyint.open(model, "auto", threads=1, notice=len)
    assert opened.choice is not None
    assert opened.choice.excluded == {"openvino": "openvino does not come to an end with it"}
    assert not cache.exists()


def test_an_unwritable_cache_is_said_and_no_matter(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TINYINT_CACHE_DIR", str(tmp_path / "file"))
    with pytest.warns(TinyintWarning, match="not remembered: cannot write .*; set TINYINT_CACHE_DIR"):
        assert tinyint.open(model, "auto", threads=1).runtime in EITHER


def test_a_model_that_one_runtime_refuses_runs_on_the_other(cache: Path) -> None:
    model = build(
        "g (float[N,4] x) => (float[N,4] y) { y = com.microsoft.SampleOp (x) }",
    )
    told: list[str] = []
    opened = tinyint.open(model, "auto", threads=1, notice=told.append)
    assert opened.runtime == "onnxruntime"
    assert "; openvino cannot load it: " in told[0]
    assert len(list(cache.iterdir())) == 1


def test_where_no_runtime_opens_it_both_reasons_are_in_one_message(cache: Path) -> None:
    model = build("g (float[N,4] x) => (float[N,4] y) { y = com.nobody.Op (x) }")
    with pytest.raises(ModelError, match=r"no runtime opens it: onnxruntime .*; openvino cannot load it"):
        tinyint.open(model, "auto")
    assert not cache.exists()


def test_without_openvino_auto_takes_onnx_runtime_and_says_why(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = opening.get_runtime("openvino")
    monkeypatch.setattr(type(openvino), "available", lambda _: None)
    told: list[str] = []
    assert tinyint.open(model, "auto", notice=told.append).runtime == "onnxruntime"
    assert told == [
        f"{model} runs on onnxruntime; OpenVINO is not installed; run: pip install 'tinyint[openvino]'"
    ]


def test_a_runtime_that_is_not_installed_is_refused_by_name(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sys.modules["tinyint.runtimes.openvino"]._core.cache_clear()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DependencyError, match="OpenVINO is not installed"):
        tinyint.open(model, "openvino")
    sys.modules["tinyint.runtimes.openvino"]._core.cache_clear()  # type: ignore[attr-defined]


def test_open_dimensions_need_an_example(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "open.onnx"
    save_model(build("g (float[N,L,4] x) => (float[N,L,4] y) { y = Relu (x) }"), path)
    told: list[str] = []
    assert tinyint.open(path, "auto", notice=told.append).runtime == "onnxruntime"
    assert "input 'x' has open dimensions, float32 [?, ?, 4]; give an example" in told[0]
    assert not cache.exists()
    example = {"x": np.zeros((1, 7, 4), np.float32)}
    opened = tinyint.open(path, "auto", example=example, notice=told.append)
    assert opened.choice is not None
    assert set(opened.choice.milliseconds) == EITHER
    assert opened.run({"x": np.ones((2, 3, 4), np.float32)})["y"].shape == (2, 3, 4)


def test_wrong_options_are_refused(model: Path, cache: Path) -> None:
    with pytest.raises(DependencyError, match=r"unknown runtime 'openvno'; did you mean 'openvino'\?"):
        tinyint.open(model, "openvno")
    for runtime in (None, "auto"):
        with pytest.raises(DataError, match="0 threads: expected 1 to"):
            tinyint.open(model, runtime, threads=0)
        with pytest.raises(DataError, match="a batch of -1: expected 1 or more"):
            tinyint.open(model, runtime, batch=-1)
        with pytest.raises(ModelError, match="no such model file"):
            tinyint.open(model.with_name("none.onnx"), runtime)
    with pytest.raises(DataError, match="an example is measured under runtime='auto' only"):
        tinyint.open(model, "onnxruntime", example={})
    with pytest.raises(DataError, match="'x' is missing"):
        tinyint.open(model, "auto", example={})
    with pytest.raises(TargetError, match="types of the file"):
        tinyint.open(model, "onnxruntime", precision="bfloat16")


@pytest.mark.parametrize("runtime", sorted(EITHER))
def test_a_fixed_batch_runs_alone(model: Path, samples: np.ndarray, runtime: str) -> None:
    opened = tinyint.open(model, runtime, batch=2)
    assert opened.inputs[0].shape[0] == 2
    (found,) = opened.run({"x": samples[:2]}).values()
    (expected,) = tinyint.open(model, runtime).run({"x": samples[:2]}).values()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(DataError, match="expected float32"):
        opened.run({"x": samples[:1]})


def test_threads_that_are_not_used_are_said(model: Path) -> None:
    most = host().cores
    told: list[str] = []
    tinyint.open(model, "openvino", threads=most, notice=told.append)
    assert told == []
    tinyint.open(model, "openvino", threads=most + 1, notice=told.append)
    assert told == [f"{most + 1} threads were asked for; openvino uses {most}, as many as there are cores"]


def test_auto_takes_no_runtime_on_which_products_saturate(
    model: Path, samples: np.ndarray, cache: Path, tmp_path: Path
) -> None:
    """Whatever the processor: where pair sums do not saturate, both are measured."""
    path = tmp_path / "int8.onnx"
    tinyint.quantize(model, samples, output=path, target="x86-avx2", run=tinyint.Run(verify=False))
    told: list[str] = []
    opened = tinyint.open(path, "auto", threads=1, notice=told.append)
    assert isinstance(opened.choice, Choice)
    for runtime in EITHER - set(opened.choice.excluded):
        assert opening.saturation_notice(path, runtime) is None
    for reason in opened.choice.excluded.values():
        assert "no VNNI" in reason
