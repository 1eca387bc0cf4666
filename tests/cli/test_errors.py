"""Bad input: one clear line, exit code 2, nothing left behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Run
from tests.models import residual
from tests.processes import heed, wait_until
from tinyint.cli.screen import Screen
from tinyint.graph.io import save_model

QUANTIZE = ("quantize", "float.onnx", "-o", "int8.onnx")
DATA = ("--data", "calib.npy")


def truncated(here: Path) -> None:
    whole = (here / "float.onnx").read_bytes()
    (here / "float.onnx").write_bytes(whole[: len(whole) // 2])


def without_external_data(here: Path) -> None:
    save_model(residual(), here / "float.onnx", external=True)
    (here / "float.onnx.data").unlink()


def not_onnx(here: Path) -> None:
    (here / "float.onnx").write_text("hello")


def quantized(here: Path) -> None:
    import tinyint

    quick = tinyint.Run(verify=False)
    tinyint.quantize(here / "float.onnx", np.load("calib.npy"), output=here / "made.onnx", run=quick)
    (here / "made.onnx").replace(here / "float.onnx")
    for path in here.glob("made.*"):
        path.unlink()


def array(*shape: int, value: float = 0.5, dtype: str = "float32"):
    def make(here: Path) -> None:
        np.save(here / "calib.npy", np.full(shape, value, dtype))

    return make


def one_nan(here: Path) -> None:
    samples = np.load("calib.npy")
    samples[3, 1, 2, 2] = np.nan
    np.save(here / "calib.npy", samples)


def other_name(here: Path) -> None:
    np.savez(here / "calib.npz", image=np.load("calib.npy"))


def empty_folder(here: Path) -> None:
    (here / "images").mkdir()


def list_with_a_missing_image(here: Path) -> None:
    (here / "images").mkdir()
    Image.new("RGB", (16, 16)).save(here / "images" / "a.png")
    (here / "images" / "list.txt").write_text("a.png 0\ngone.png 1\n")


def broken_recipe(here: Path) -> None:
    (here / "r.yaml").write_text("calibraton: kl\n")


def broken_record(here: Path) -> None:
    (here / "r.npz").write_bytes(b"PK nonsense")


def a_directory(here: Path) -> None:
    (here / "int8.onnx").mkdir()


def nothing(here: Path) -> None:
    del here


CASES = [
    pytest.param(not_onnx, (*QUANTIZE, *DATA), "float.onnx", id="not an ONNX file"),
    pytest.param(truncated, (*QUANTIZE, *DATA), "truncated", id="truncated model"),
    pytest.param(without_external_data, (*QUANTIZE, *DATA), "float.onnx.data", id="external data missing"),
    pytest.param(quantized, (*QUANTIZE, *DATA), "quantized already", id="already quantized"),
    pytest.param(nothing, ("quantize", "no.onnx", "-o", "o.onnx", *DATA), "no.onnx", id="no such model"),
    pytest.param(nothing, QUANTIZE, "--data", id="no data"),
    pytest.param(array(0, 3, 16, 16), (*QUANTIZE, *DATA), "calib.npy", id="empty data"),
    pytest.param(empty_folder, (*QUANTIZE, "--data", "images"), "images", id="empty folder"),
    pytest.param(nothing, (*QUANTIZE, "--data", "gone"), "gone", id="no such data"),
    pytest.param(array(4, 3, 8, 8), (*QUANTIZE, *DATA), "calib.npy", id="wrong shape"),
    pytest.param(array(4, 3, 16, 16, dtype="int64"), (*QUANTIZE, *DATA), "int64", id="wrong type"),
    pytest.param(other_name, (*QUANTIZE, "--data", "calib.npz"), "'x'", id="wrong name"),
    pytest.param(one_nan, (*QUANTIZE, *DATA), "calib.npy[3]", id="NaN in a sample"),
    pytest.param(list_with_a_missing_image, (*QUANTIZE, "--data", "images"), "gone.png", id="missing image"),
    pytest.param(nothing, (*QUANTIZE, *DATA, "--target", "x86-vni"), "'x86-vnni'", id="unknown target"),
    pytest.param(nothing, (*QUANTIZE, *DATA, "--recipe", "defualt"), "'default'", id="unknown recipe"),
    pytest.param(broken_recipe, (*QUANTIZE, *DATA, "--recipe", "r.yaml"), "'calibration'", id="unknown key"),
    pytest.param(nothing, (*QUANTIZE, *DATA, "--set", "calibration=k"), "calibration", id="wrong value"),
    pytest.param(nothing, (*QUANTIZE, *DATA, "--set", "skip=[conv9]"), "'conv3'", id="pattern without match"),
    pytest.param(nothing, (*QUANTIZE, *DATA, "--set", "op_types=[Cnov]"), "'Conv'", id="unknown operator"),
    pytest.param(broken_record, (*QUANTIZE, "--calibration", "r.npz"), "r.npz", id="damaged record"),
    pytest.param(a_directory, (*QUANTIZE, *DATA), "int8.onnx", id="output is a directory"),
    pytest.param(nothing, ("quantize", "float.onnx", "-o", "no/o.onnx", *DATA), "no", id="no such directory"),
    pytest.param(
        nothing, ("quantize", "float.onnx", "-o", "calib.npy/o.onnx", *DATA), "not a directory", id="file"
    ),
    pytest.param(
        nothing, ("quantize", "float.onnx", "-o", "float.onnx", *DATA), "that is read", id="own model"
    ),
    pytest.param(
        nothing, ("calibrate", "float.onnx", "-o", "calib.npy", *DATA), "that is read", id="own data"
    ),
    pytest.param(
        nothing, ("calibrate", "float.onnx", "-o", "no/r.npz", *DATA), "no/r.npz", id="record nowhere"
    ),
    pytest.param(
        nothing, (*QUANTIZE, "--calibration", "float.onnx"), "not a calibration record", id="no record"
    ),
    pytest.param(nothing, (*QUANTIZE, *DATA, "--provider", "cuda"), "onnxruntime-gpu", id="no GPU"),
    pytest.param(nothing, ("evaluate", "float.onnx", *DATA), "label", id="data without labels"),
    pytest.param(
        truncated, ("bench", "float.onnx", "--runtime", "openvino"), "truncated", id="truncated, to measure"
    ),
    pytest.param(nothing, ("bench", "gone.onnx"), "gone.onnx", id="nothing to measure"),
    pytest.param(nothing, ("bench", "float.onnx", "--runtime", "onyx"), "onnxruntime", id="unknown runtime"),
    pytest.param(nothing, ("bench", "float.onnx", "--shape", "x"), "INPUT=DIMS", id="wrong shape option"),
    pytest.param(
        nothing, ("compare", "float.onnx", "float.onnx", *DATA), "not quantized", id="two float models"
    ),
    pytest.param(nothing, ("recipe", "show", "nosuch"), "nosuch", id="no such recipe"),
]


@pytest.mark.parametrize(("spoil", "arguments", "named"), CASES)
def test_bad_input_is_one_clear_error(here: Path, run: Run, spoil, arguments, named):
    spoil(here)
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert named in errors[0]
    assert "Traceback" not in result.stderr
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def test_with_json_the_error_is_a_document_too(here, document):
    assert "no.onnx" in document("inspect", "no.onnx", code=2)["error"]
    assert "nosuch" in document("recipe", "show", "nosuch", code=2)["error"]


def test_a_fault_of_ours_is_told_as_one(here, run, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr("tinyint.cli.inspect.api.inspect", fail)
    monkeypatch.delenv("TINYINT_DEBUG", raising=False)
    result = run("inspect", "float.onnx")
    assert result.exit_code == 1
    assert "by nought" in result.stderr
    assert "report" in result.stderr
    assert "Traceback" not in result.stderr
    monkeypatch.setenv("TINYINT_DEBUG", "1")
    assert "Traceback" in run("inspect", "float.onnx").stderr


def test_usage_errors_are_typers(run):
    assert run("quantize", "--no-such-option").exit_code == 2


SLOW_SAMPLES = """
import pathlib, time
import numpy as np

def samples():
    for i in range(1000):
        yield np.full((1, 3, 16, 16), i / 1000, np.float32)
        pathlib.Path("started").touch()
        time.sleep(0.02)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_the_old_file(here, number, code):
    (here / "slow.py").write_text(SLOW_SAMPLES)
    (here / "int8.onnx").write_bytes(b"old")
    command = [sys.executable, "-m", "tinyint.cli", *QUANTIZE, "--data", "slow:samples"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=heed(number),
    )
    wait_until((here / "started").exists, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == code
    assert errors.splitlines()[-1] == {130: "interrupted", 143: "terminated"}[code] + "; nothing was changed"
    assert (here / "int8.onnx").read_bytes() == b"old"
    left = {path.name for path in here.iterdir()} - {"__pycache__"}
    assert left == {"float.onnx", "calib.npy", "slow.py", "started", "int8.onnx"}


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_reader_that_goes_away_is_no_error(here):
    command = f"{sys.executable} -m tinyint.cli recipe show | true"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_json_mode_keeps_stdout_for_the_document(capsys):
    screen = Screen(json=True)
    screen.warn("careful")
    screen.show({"a": float("nan")}, "not shown")
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"a": None}
    assert captured.err == "warning: careful\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("quantize", "float.onnx", "--data", "calib.npy"), "'--output' / '-o'"),
        (("quantize",), "'MODEL'"),
        ((*QUANTIZE, *DATA, "--samples", "none"), "'--samples'"),
        ((*QUANTIZE, *DATA, "--samples", "0"), "'--samples'"),
        ((*QUANTIZE, "--nosuch"), "--nosuch"),
        (("nosuch",), "nosuch"),
        (("--nosuch",), "--nosuch"),
        (("zoo", "nosuch"), "nosuch"),
        (("zoo", "export", "resnet18"), "'--output' / '-o'"),
        (("train", "--iters", "x"), "'--iters'"),
    ],
)
@pytest.mark.usefixtures("here")
def test_with_json_wrong_usage_is_a_document_too(arguments: tuple[str, ...], named: str, document) -> None:
    assert named in document(*arguments, code=2)["error"]


def tinyint(*arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "tinyint.cli", *arguments], stderr=subprocess.PIPE, check=False, **options
    )


def test_an_output_without_all_letters_still_takes_the_result(here):
    os.rename("float.onnx", "\u00e9.onnx")
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    for options in ((), ("--json",)):
        done = tinyint("inspect", "\u00e9.onnx", *options, stdout=subprocess.PIPE, env=environment)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.isascii()
    assert json.loads(done.stdout)["model"] == "\u00e9.onnx"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
def test_an_output_that_takes_no_more_is_told(here):
    for arguments in (("recipe", "show"), ("recipe", "show", "--json"), ("--help",), ("--version",)):
        with open("/dev/full", "w") as full:
            done = tinyint(*arguments, stdout=full)
        assert done.returncode == 2, done.stderr
        assert b"No space left on device" in done.stderr
        assert done.stderr.count(b"\n") == 1
