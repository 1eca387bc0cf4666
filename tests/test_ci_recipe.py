"""The workflow that the documentation shows: it is one, and its commands pass and fail as is said."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.models import noise, residual
from tinyint.graph.io import save_model

CHAPTER = (Path(__file__).parents[1] / "docs" / "continuous-integration.md").read_text(encoding="utf-8")
STORED = Path("ci/model.report.json")


def block(kind: str) -> str:
    (found,) = re.findall(rf"<!-- {kind} -->\n```\w+\n(.*?)```", CHAPTER, re.DOTALL)
    return str(found)


WORKFLOW = yaml.safe_load(block("workflow"))
JOBS = WORKFLOW["jobs"]


def commands(job: str) -> list[str]:
    """The job's own steps; what installs tinyint is left to this environment."""
    return [step["run"] for step in JOBS[job]["steps"] if step.get("name") not in (None, "Install")]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a script as GitHub does, where the model and data of a user are."""
    monkeypatch.chdir(tmp_path)
    model = residual()
    save_model(model, "model.onnx")
    np.savez("samples.npz", x=np.concatenate([sample["x"] for sample in noise(model, 80)]))
    command = tmp_path / "bin" / "tinyint"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m tinyint.cli "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TINYINT_CACHE_DIR", str(tmp_path / "cache"))

    def run(text: str) -> int:
        return subprocess.run(["bash", "-e", "-o", "pipefail", "-c", text], capture_output=True).returncode

    assert run(block("stored report")) == 0
    return run


def change(part: str, **figures: float) -> None:
    """Changes the stored report, so that this machine's mood decides nothing."""
    document = json.loads(STORED.read_text(encoding="utf-8"))
    held = document
    for key in part.split("."):
        held = held[key]
    held |= figures
    STORED.write_text(json.dumps(document), encoding="utf-8")


def test_it_is_a_workflow():
    # YAML 1.1 reads the key `on` as true.
    assert WORKFLOW.keys() == {"name", True, "jobs"}
    for job in JOBS.values():
        assert {"runs-on", "steps"} <= job.keys()
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert "run" not in step or step["name"]
    quantizing = block("stored report").splitlines()[0]
    assert [commands(job)[0] for job in ("accuracy", "speed")] == [quantizing, quantizing]


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
def test_its_commands_pass_and_fail_the_build(shell):
    change("latency_ms", float=1.0, int8=1000.0)  # whatever this machine measures is faster
    assert shell("\n".join(commands("accuracy"))) == 0
    _, check = commands("speed")
    assert shell(check) == 0
    change("latency_ms", float=1.0, int8=0.0001)
    assert shell(check) == 3
    _, check = commands("accuracy")
    assert shell(check) == 0
    change("verification.outputs.y", top1_agreement=2.0)
    assert shell(check) == 3
