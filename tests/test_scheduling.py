"""A process that dies takes one test with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DONE = "def test_{0}(): pass\n"
DEADLY = """
import os, signal
def test_before(): pass
def test_it(): os.kill(os.getpid(), signal.SIGABRT)
def test_after(): pass
"""


def test_all_others_run_and_the_one_that_ended_it_is_named(tmp_path: Path) -> None:
    for i in range(6):
        (tmp_path / f"test_{i}.py").write_text("".join(DONE.format(j) for j in range(4)))
    (tmp_path / "test_3_deadly.py").write_text(DEADLY)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "2",
        "--dist",
        "loadfile",
        "-p",
        "tests.scheduling",
        str(tmp_path),
    ]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 1
    assert "1 failed, 26 passed" in done.stdout
    assert "crashed while running 'test_3_deadly.py::test_it'" in done.stdout
