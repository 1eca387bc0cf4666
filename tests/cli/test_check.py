"""`tinyint check`: a table of what was compared, and exit codes."""

import json
from pathlib import Path

import pytest

from tests.proof.build import report
from tinyint.files.jsonable import to_json


@pytest.fixture
def reports(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, made in {"old": report(), "slow": report(int8_ms=3.0), "bare": report(latency=None)}.items():
        Path(f"{name}.json").write_text(to_json(made.to_json()), encoding="utf-8")


def test_the_exit_code_is_3_where_the_goal_is_not_met(reports, run):
    assert run("check", "old.json", "old.json", "--max-drop", "0", "--max-slowdown", "0").exit_code == 0
    failed = run("check", "old.json", "slow.json", "--max-slowdown", "10")
    assert failed.exit_code == 3
    assert failed.stdout.startswith("slow.json: WORSE than old.json in speed beside float\n")
    cells = next(line for line in failed.stdout.splitlines() if "speed beside float" in line and "│" in line)
    assert [cell.strip() for cell in cells.strip("│").split("│")] == [
        "speed beside float", "", "2.00×", "1.33×", "50.00 % slower", "10 %", "worse",
    ]  # fmt: skip


def test_the_document_holds_every_row(reports, document):
    found = document("check", "old.json", "slow.json", "--max-slowdown", "10", code=3)
    assert (found["met"], found["old"], found["new"]) == (False, "old.json", "slow.json")
    assert [row["name"] for row in found["rows"] if row["worse"]] == ["speedup"]
    assert {row["of"] for row in found["rows"]} == {"accuracy", "speed", "coverage", "size"}


def test_what_cannot_be_compared_is_an_error(reports, document):
    assert (
        "has no latency" in document("check", "old.json", "bare.json", "--max-slowdown", "1", code=2)["error"]
    )
    assert "cannot read the report" in document("check", "old.json", "none.json", code=2)["error"]
    other = json.loads(Path("old.json").read_text()) | {"host": "another"}
    Path("other.json").write_text(json.dumps(other))
    told = document("check", "old.json", "other.json", "--max-slowdown", "1", code=2)["error"]
    assert "different processors" in told
    assert "--allow processor" in told
    allowed = ("--max-slowdown", "1", "--allow", "processor")
    assert document("check", "old.json", "other.json", *allowed)["notes"]
