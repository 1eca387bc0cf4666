"""Processes that end by a signal: what the user reads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes that are forked")

# The entry point around a command that is no command.
ENTRY = """
import os, signal, sys, types
from tinyint import cli
def command():
    {body}
sys.modules["tinyint.cli.app"] = types.SimpleNamespace(app=command)
cli.main()
"""
KEPT = "files are as they were saved last"


def run(body: str, *arguments: str, **how: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", ENTRY.format(body=body), *arguments]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONFAULTHANDLER"} | how
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("SIGSEGV", "Segmentation fault"),
        ("SIGABRT", "Aborted"),
        ("SIGFPE", "Floating point exception"),
    ],
)
def test_a_fault_is_one_line_on_stderr(name: str, told: str) -> None:
    done = run(f"os.kill(os.getpid(), signal.{name})")
    assert done.returncode == -getattr(signal, name)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        f"error: a library ended the process ({told}), which tinyint cannot prevent; {KEPT}"
    )


def test_the_library_is_named(tmp_path) -> None:
    path = tmp_path / "site-packages" / "openvino" / "_ov_api.py"
    path.parent.mkdir(parents=True)
    path.write_text("import os\ndef infer(): os.abort()\n")
    body = f"sys.path.insert(0, {str(path.parent)!r}); import _ov_api; _ov_api.infer()"
    assert run(body).stderr.startswith("error: openvino ended the process (Aborted)")


def test_with_json_it_is_the_document() -> None:
    done = run("os.abort()", "--json")
    assert json.loads(done.stdout)["error"] == done.stderr.removeprefix("error: ").strip()


def test_a_killed_process_is_told() -> None:
    done = run("os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -signal.SIGKILL
    assert done.stderr == f"error: the process was killed, perhaps by the system for want of memory; {KEPT}\n"


@pytest.mark.parametrize(
    ("body", "code"),
    [("pass", 0), ("sys.exit(3)", 3), ("raise KeyboardInterrupt", 130), ("raise cli.Terminated", 143)],
)
def test_nothing_is_added_where_a_command_ends_by_itself(body: str, code: int) -> None:
    done = run(body)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_pythons_own_fault_handler_stays() -> None:
    done = run("os.abort()", PYTHONFAULTHANDLER="1")
    assert done.stderr.startswith("Fatal Python error: Aborted")
    assert "in command" in done.stderr


def test_a_child_of_the_command_says_nothing() -> None:
    """Loaders of data are forked, and torch tells how they ended."""
    done = run("os.fork() or os.abort(); os.wait()")
    assert (done.returncode, done.stderr) == (0, "")
