"""Choices that are remembered, by all that they depend on."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.fake_runtime import FakeRuntime
from tests.graph.build import build
from tinyint.errors import ModelError, OutputError
from tinyint.proof import choices
from tinyint.proof.choice import Choice, Conditions
from tinyint.proof.choices import Choices, choice_key
from tinyint.runtimes.host import Host

KEYS = [format(i, "064x") for i in range(6)]
FOUND = Choice(
    runtime="openvino", milliseconds={"openvino": 1.5, "onnxruntime": 2.0}, excluded={"other": "refuses"}
)
X = {"x": np.zeros((1, 8), np.float32)}


def model(value: float = 1.0) -> ir.Model:
    return build(
        "g (float[N,8] x) => (float[N,4] y) { y = MatMul (x, w) }", w=np.full((8, 4), value, np.float32)
    )


def test_a_choice_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = Choices(directory=tmp_path / "choices")
    assert kept.load(KEYS[0]) is None
    kept.store(KEYS[0], FOUND)
    assert kept.load(KEYS[0]) == replace(FOUND, remembered=True)
    assert str(kept.load(KEYS[0])) == "runs on openvino: 1.5 ms a call, 2 ms on onnxruntime; refuses"


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    kept = Choices(directory=tmp_path, most=3)
    for time, key in enumerate(KEYS[:3]):
        kept.store(key, FOUND)
        os.utime(tmp_path / f"{key}.json", (time, time))
    kept.load(KEYS[0])
    kept.store(KEYS[3], FOUND)
    assert [kept.load(key) is not None for key in KEYS[:4]] == [True, False, True, True]
    assert kept.count == 3
    assert kept.size() == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert kept.clear()[0] == 3
    assert (kept.count, kept.clear()) == (0, (0, 0))


@pytest.mark.parametrize(
    "content",
    ["", "[]", "null", '{"runtime": 5}', '{"runtime": "none"}', '{"runtime": "openvino", "milliseconds": 3}',
     '{"runtime": "openvino", "milliseconds": {"a": "b"}}', '{"runtime": "openvino", "new": 1}', "\x00\xff"],
)  # fmt: skip
def test_a_damaged_one_is_none(tmp_path: Path, content: str) -> None:
    kept = Choices(directory=tmp_path)
    (tmp_path / f"{KEYS[0]}.json").write_bytes(content.encode("latin1"))
    assert kept.load(KEYS[0]) is None
    kept.store(KEYS[0], FOUND)
    assert kept.load(KEYS[0]) is not None


def test_without_a_directory_nothing_is_kept(tmp_path: Path) -> None:
    nowhere = Choices(directory=None)
    assert (nowhere.load(KEYS[0]), nowhere.count, nowhere.clear()) == (None, 0, (0, 0))
    with pytest.raises(OutputError, match="there is no home directory"):
        nowhere.store(KEYS[0], FOUND)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        Choices(directory=tmp_path / "file" / "choices").store(KEYS[0], FOUND)


def test_the_place_is_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYINT_CACHE_DIR", str(tmp_path))
    assert Choices().directory == tmp_path / "choices"


def test_the_key_is_that_of_the_bytes_wherever_they_are(tmp_path: Path) -> None:
    runtimes = [FakeRuntime()]
    content = ir.to_proto(model()).SerializeToString()
    for name in ("a", "b"):
        (tmp_path / f"{name}.onnx").write_bytes(content)
    keys = {choice_key(tmp_path / f"{n}.onnx", runtimes, Conditions(), "fake") for n in ("a", "b")}
    assert len(keys) == 1
    assert choice_key(model(), runtimes, Conditions(), "fake") == choice_key(
        model(), runtimes, Conditions(), "fake"
    )


class Newer(FakeRuntime):
    def available(self) -> str:
        return "2.0"


def test_whatever_a_choice_depends_on_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    runtimes = [FakeRuntime()]
    bytes_ = ir.to_proto(model()).SerializeToString()
    keys = [
        choice_key(source, by, Conditions(**conditions), preferred)  # type: ignore[arg-type]
        for source, by, conditions, preferred in [
            (model(), runtimes, {}, "fake"),
            (model(2.0), runtimes, {}, "fake"),
            (bytes_, runtimes, {}, "fake"),
            (bytes_ + b"\x00", runtimes, {}, "fake"),
            (model(), [Newer()], {}, "fake"),
            (model(), [*runtimes, Newer()], {}, "fake"),
            (model(), runtimes, {}, "other"),
            (model(), runtimes, {"threads": 1}, "fake"),
            (model(), runtimes, {"threads": 2}, "fake"),
            (model(), runtimes, {"precision": "bfloat16"}, "fake"),
            (model(), runtimes, {"batch": 2}, "fake"),
            (model(), runtimes, {"batch_size": 2}, "fake"),
            (model(), runtimes, {"example": X}, "fake"),
            (model(), runtimes, {"example": {"x": X["x"].repeat(2, 0)}}, "fake"),
            (model(), runtimes, {"shapes": {"x": (1, 8)}}, "fake"),
        ]
    ]
    for machine in ("one", "another"):
        here = Host(machine="x86_64", model=machine, cores=1, features=frozenset())
        monkeypatch.setattr(choices, "host", lambda here=here: here)
        keys.append(choice_key(model(), runtimes, Conditions(), "fake"))
    assert len(set(keys)) == len(keys)


def test_weights_in_another_file_count(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(ir.to_proto(model()), path, save_as_external_data=True, location="w.data", size_threshold=0)
    first = choice_key(path, [FakeRuntime()], Conditions(), "fake")
    os.utime(tmp_path / "w.data", ns=(1, 1))
    assert choice_key(path, [FakeRuntime()], Conditions(), "fake") != first
    (tmp_path / "w.data").unlink()
    with pytest.raises(ModelError, match="cannot read"):
        choice_key(path, [FakeRuntime()], Conditions(), "fake")


def test_what_is_no_onnx_has_a_key_too(tmp_path: Path) -> None:
    for name in ("model.xml", "damaged.onnx"):
        (tmp_path / name).write_text(json.dumps(name))
        assert len(choice_key(tmp_path / name, [], Conditions(), "fake")) == 64
