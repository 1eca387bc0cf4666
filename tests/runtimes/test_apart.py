"""Runs in a child process: as in this one, but for those that end it or never end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.graph.build import build
from tests.processes import ended, heed, wait_until
from tinyint.errors import DataError, DependencyError
from tinyint.runtimes.apart import Apart, Failure, _end_left, _left, run_all

DOUBLE = build("g (float[N,3] x) => (float[N,3] y) { y = Add(x,x) }")
FEEDS = [{"x": np.float32([[1, 2, 3]])}, {"x": np.float32([[4, 5, 6], [7, 8, 9]])}]
DOUBLED = [[[2, 4, 6]], [[8, 10, 12], [14, 16, 18]]]
LONG = 100.0
posix = pytest.mark.skipif(os.name != "posix", reason="processes of POSIX")


@pytest.fixture
def apart(request: pytest.FixtureRequest) -> Iterator[Apart]:
    _end_left()  # by other tests
    opened = Apart(getattr(request, "param", "onnxruntime"))
    yield opened
    opened.end()


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """File that a child takes for OpenVINO."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "openvino.py"


def values(found: object) -> list[object]:
    assert isinstance(found, list)
    return [outputs["y"].tolist() for outputs in found]


def child(apart: Apart) -> subprocess.Popen[bytes]:
    assert apart._child is not None
    return apart._child._process


@pytest.mark.parametrize("apart", ["onnxruntime", "openvino"], indirect=True)
def test_one_child_answers_for_several_models(apart: Apart) -> None:
    process = child(apart)
    assert apart.fresh
    for threads in (1, 2):
        assert values(apart.run_all(DOUBLE, threads, FEEDS, LONG)) == DOUBLED
    assert not apart.fresh
    assert child(apart) is process
    assert values(run_all("openvino", DOUBLE, 1, FEEDS)) == DOUBLED


def test_a_child_that_is_left_serves_the_next(apart: Apart) -> None:
    process = child(apart)
    assert values(apart.run_all(DOUBLE, 1, FEEDS, LONG)) == DOUBLED
    apart.leave()
    following = Apart("openvino")
    assert child(following) is process
    assert not following.fresh
    assert values(following.run_all(DOUBLE, 1, FEEDS, LONG)) == DOUBLED
    following.end()


def test_a_child_that_is_left_ends_before_one_in_other_surroundings(
    apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = child(apart)
    apart.leave()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    other = Apart("openvino")
    assert process.returncode is not None
    assert child(other) is not process
    other.end()


def test_a_child_that_is_left_ends_by_itself(apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    process = child(apart)
    monkeypatch.setattr("tinyint.runtimes.apart._LEFT_SECONDS", 0.1)
    apart.leave()
    assert process.wait(LONG) == 0
    monkeypatch.setattr("tinyint.runtimes.apart._MARGIN_SECONDS", -LONG)  # as if it ended in that moment
    other = Apart("openvino")
    assert child(other) is not process
    other.end()


def test_a_child_without_its_answer_serves_nobody(apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    process = child(apart)
    assert values(apart.run_all(DOUBLE, 1, FEEDS, LONG)) == DOUBLED

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tinyint.runtimes.apart._Child._answer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        apart.run_all(DOUBLE, 1, FEEDS, LONG)
    apart.leave()
    assert process.returncode is not None


@posix
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_leaves_its_parent_the_child(apart: Apart) -> None:
    process = child(apart)
    apart.leave()
    forked = multiprocessing.get_context("fork").Process(target=_ends_what_is_left)
    forked.start()
    forked.join(LONG)
    assert forked.exitcode == 0
    following = Apart("onnxruntime")
    assert child(following) is process
    following.end()


def _ends_what_is_left() -> None:
    assert not _left
    _end_left()


def test_inputs_that_the_model_does_not_have_are_left_out(apart: Apart) -> None:
    assert values(apart.run_all(DOUBLE, 1, [{**FEEDS[0], "u": np.zeros(3)}], LONG)) == DOUBLED[:1]


def test_texts_come_back_as_they_were(apart: Apart) -> None:
    same = build("g (string[2] x) => (string[2] y) { y = Identity(x) }")
    words = np.array(["größe", "a\0"], object)
    found = apart.run_all(same, 1, [{"x": words}], LONG)
    assert values(found) == [words.tolist()]


def test_a_model_that_is_refused_ends_nothing(apart: Apart) -> None:
    process = child(apart)
    unknown = build("g (float[3] x) => (float[3] y) { y = NoSuchOperator(x) }")
    assert apart.run_all(unknown, 1, [], LONG) is Failure.REFUSED
    assert child(apart) is process


def test_other_errors_are_raised_here(apart: Apart) -> None:
    with pytest.raises(DataError, match=r"expected float32 \[\?, 3\]"):
        apart.run_all(DOUBLE, 1, [{"x": np.zeros((1, 4), np.float32)}], LONG)
    unheard = Apart("unheard")
    with pytest.raises(DependencyError, match="unknown runtime 'unheard'"):
        unheard.run_all(DOUBLE, 1, FEEDS, LONG)
    unheard.end()


@pytest.mark.parametrize("apart", ["openvino"], indirect=True)
def test_the_end_of_a_child_is_told_and_the_next_model_has_another(library: Path, apart: Apart) -> None:
    library.write_text("import os\ndef Core(): os.abort()\n")
    process = child(apart)
    assert apart.run_all(DOUBLE, 1, FEEDS, LONG) is Failure.ENDED
    assert process.returncode == -signal.SIGABRT
    library.unlink()
    assert values(apart.run_all(DOUBLE, 1, FEEDS, LONG)) == DOUBLED


@posix
@pytest.mark.parametrize("apart", ["openvino"], indirect=True)
def test_its_end_is_seen_beside_a_process_that_it_has_forked(library: Path, apart: Apart) -> None:
    library.write_text(
        "import os, time\nif os.fork() == 0:\n    time.sleep(5)\n    os._exit(0)\ndef Core(): os.abort()\n"
    )
    assert apart.run_all(DOUBLE, 1, FEEDS, LONG) is Failure.ENDED
    library.unlink()
    assert values(apart.run_all(DOUBLE, 1, FEEDS, LONG)) == DOUBLED


@pytest.mark.parametrize("apart", ["openvino"], indirect=True)
def test_a_run_without_an_end_is_given_one(library: Path, apart: Apart) -> None:
    library.write_text("import time\ndef Core(): time.sleep(1000)\n")
    process = child(apart)
    assert apart.run_all(DOUBLE, 1, FEEDS, 0.1) is Failure.STUCK
    assert process.returncode is not None


@pytest.mark.parametrize("apart", ["openvino"], indirect=True)
def test_what_a_library_prints_is_no_answer(
    library: Path, apart: Apart, capfd: pytest.CaptureFixture[str]
) -> None:
    library.write_text(
        "import os\nos.write(1, b'hello')\nos.write(2, b'hello')\ndef Core(): raise RuntimeError\n"
    )
    with pytest.raises(RuntimeError):
        apart.run_all(DOUBLE, 1, FEEDS, LONG)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("executable", ["", "/no/such/file", "/bin/false", "/bin/cat"])
def test_without_a_python_to_start_it_runs_here(executable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    apart = Apart("onnxruntime")
    for _ in range(2):
        assert values(apart.run_all(DOUBLE, 1, FEEDS, LONG)) == DOUBLED
    assert apart._child is None
    apart.end()


def test_a_frozen_program_does_not_start_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    apart = Apart("onnxruntime")
    assert apart._child is None
    assert values(apart.run_all(DOUBLE, 1, FEEDS, LONG)) == DOUBLED


PARENT = textwrap.dedent("""
    import os, sys
    import numpy as np
    sys.path.insert(0, {library!r})
    from tests.runtimes.test_apart import DOUBLE, FEEDS, child
    from tinyint.runtimes.apart import Apart
    apart = Apart({runtime!r})
    try:
        print(child(apart).pid, flush=True)
        print(apart.run_all(DOUBLE, 1, FEEDS, 1000), flush=True)
    finally:
        apart.end()
""")
ROOT = Path(__file__).parents[2]


def parent(runtime: str, library: Path, **how: object) -> subprocess.Popen[str]:
    """A program that runs a model apart."""
    code = PARENT.format(runtime=runtime, library=str(library))
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-c", code],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **how,
    )


@posix
def test_a_closed_standard_input_is_none_of_its_business(tmp_path: Path) -> None:
    started = parent("onnxruntime", tmp_path, preexec_fn=lambda: os.close(0))
    told, said = started.communicate()
    assert "[{'y': array([[2., 4., 6.]], dtype=float32)}" in told
    assert said == ""


@posix
@pytest.mark.parametrize("kind", ["SIGINT", "SIGKILL"])
def test_the_child_ends_with_its_parent(kind: str, tmp_path: Path) -> None:
    """Ctrl-C goes to both; one that is killed says nothing more."""
    began = tmp_path / "began"
    hanging = f"import time\ndef Core():\n    open({str(began)!r}, 'w').close()\n    time.sleep(1000)\n"
    (tmp_path / "openvino.py").write_text(hanging)
    started = parent("openvino", tmp_path, start_new_session=True, preexec_fn=heed(signal.SIGINT))
    assert started.stdout is not None
    pid = int(started.stdout.readline())
    wait_until(began.exists, started)
    if kind == "SIGINT":
        os.killpg(started.pid, signal.SIGINT)
    else:
        started.kill()
    _, said = started.communicate(timeout=60)
    assert said.count("Traceback") == (1 if kind == "SIGINT" else 0)
    wait_until(lambda: ended(pid))
