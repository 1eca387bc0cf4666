"""Exit codes: in one table, which the documentation shows, and as commands really end."""

from __future__ import annotations

import ast
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import tinyint
from tests.proof.build import report
from tinyint.cli.exit_codes import MEANINGS, ExitCode, by_signal
from tinyint.files.jsonable import to_json

CLI = Path(tinyint.__file__).parent / "cli"
CHAPTER = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")


def test_the_documentation_has_every_code_and_no_other():
    table = CHAPTER.split("<!-- table: exit-codes -->")[1].split("<!-- end -->")[0]
    codes = re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE)
    assert [int(code) for cell in codes for code in cell.split(",")] == [*ExitCode, *by_signal()]
    assert list(MEANINGS) == list(ExitCode)


@pytest.mark.parametrize("path", sorted(CLI.glob("*.py")), ids=lambda path: path.name)
def test_a_command_ends_by_the_table_alone(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        ends = isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "typer.Exit",
            "sys.exit",
            "exit",
            "quit",
        )
        if ends:
            assert re.search(r"ExitCode\.\w+", ast.unparse(node)), f"{path.name}:{node.lineno}"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (ExitCode.DONE, ("check", "old.json", "old.json")),
        (ExitCode.WRONG, ("check", "old.json", "none.json")),
        (ExitCode.WRONG, ("check", "old.json", "--nowhere")),
        (ExitCode.WRONG, ("check", "old.json", "old.json", "--max-drop", "much")),
        (ExitCode.NOT_MET, ("check", "old.json", "slow.json", "--max-slowdown", "1")),
        (ExitCode.FAULT, ("check", "old.json", "old.json")),
        (ExitCode.INTERRUPTED, ("check", "old.json", "old.json")),
    ],
)
def test_commands_end_so(tmp_path, run, monkeypatch, code, words):
    monkeypatch.chdir(tmp_path)
    for name, made in (("old", report()), ("slow", report(int8_ms=3.0))):
        Path(f"{name}.json").write_text(to_json(made.to_json()), encoding="utf-8")
    raised = {ExitCode.FAULT: RuntimeError("boom"), ExitCode.INTERRUPTED: KeyboardInterrupt()}.get(code)

    def fail(*_: object, **__: object) -> None:
        raise raised

    if raised is not None:
        monkeypatch.setattr("tinyint.api.check", fail)
    assert run(*words).exit_code == code


_WAITING = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background ignores it
import tinyint.cli.app as module
def wait(*_, **__):
    print("ready", flush=True)
    time.sleep(60)
module.app = wait
from tinyint.cli import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("code", [ExitCode.INTERRUPTED, ExitCode.TERMINATED, *by_signal()])
def test_signals_end_so(code: int):
    with subprocess.Popen(
        [sys.executable, "-c", _WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.Signals(code - 128))
        _, told = process.communicate(timeout=60)
    assert process.returncode in (
        code,
        128 - code,
    )  # Python's own code, or the signal that a shell adds 128 to
    assert (code in by_signal()) == told.startswith("error: ")
