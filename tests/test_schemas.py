"""The schemas of `--json` are those of the types, valid, and one for each command."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import typer
from jsonschema import Draft202012Validator

from tests import schemas
from tests.cli.test_documents import paths
from tinyint.cli.app import app
from tinyint.cli.documents import DOCUMENTS

SCRIPT = runpy.run_path(str(schemas.FOLDER.parent / "schemas.py"))
CHAPTER = (schemas.FOLDER.parent / "json.md").read_text(encoding="utf-8")


def test_every_command_has_one_and_no_other():
    assert list(DOCUMENTS) == list(paths(typer.main.get_command(app)))
    assert {SCRIPT["place"](command) for command in DOCUMENTS} == set(schemas.FOLDER.glob("*.json"))


@pytest.mark.parametrize("command", DOCUMENTS)
def test_the_file_is_what_the_types_say(command: str):
    place: Path = SCRIPT["place"](command)
    assert place.read_text(encoding="utf-8") == SCRIPT["text"](command), "run python docs/schemas.py"
    Draft202012Validator.check_schema(SCRIPT["schema"](command))
    assert f"(schemas/{place.name})" in CHAPTER
