"""Writes the JSON Schemas of `--json`, one a command, to docs/schemas: `python docs/schemas.py`.

They are made from the types of `tinyint.cli.documents`; `tests/test_schemas.py` holds the files against these, and
`tests/cli` every document that a command prints in a test.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from tinyint.cli.documents import DOCUMENTS, ErrorDocument

FOLDER = Path(__file__).parent / "schemas"


class _Schemas(GenerateJsonSchema):
    """Schemas of values as `tinyint.files.jsonable` writes them.

    Every key is there, and no other; a number that is infinite or NaN is null.
    """

    def float_schema(self, schema: Any) -> dict[str, Any]:
        return {**super().float_schema(schema), "type": ["number", "null"]}

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        inner = self.generate_inner(schema["schema"])
        return inner if inner.get("type") == ["number", "null"] else super().nullable_schema(schema)

    def path_schema(self, schema: Any) -> dict[str, Any]:
        return {"type": "string"}

    def dataclass_schema(self, schema: Any) -> dict[str, Any]:
        return _closed(super().dataclass_schema(schema))

    def typed_dict_schema(self, schema: Any) -> dict[str, Any]:
        return _closed(super().typed_dict_schema(schema))

    def field_is_required(self, field: Any, total: bool) -> bool:
        if field["type"] == "dataclass-field":
            return True
        return super().field_is_required(field, total)

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def get_title_from_name(self, name: str) -> str:
        return name


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Without defaults, which say nothing of what is written."""
    for part in schema.get("properties", {}).values():
        part.pop("default", None)
    return {**schema, "additionalProperties": False}


def schema(command: str) -> dict[str, Any]:
    """Schema of what a command prints with `--json`, errors included."""
    made = TypeAdapter(DOCUMENTS[command] | ErrorDocument).json_schema(
        mode="serialization", schema_generator=_Schemas
    )
    return {
        "$schema": _Schemas.schema_dialect,
        "title": f"tinyint {command} --json",
        "anyOf": made["anyOf"],
        "$defs": {name: _described(part) for name, part in made["$defs"].items()},
    }


def _described(part: dict[str, Any]) -> dict[str, Any]:
    """A description in Markdown, without the roles of docstrings."""
    text = part.get("description")
    return part if text is None else {**part, "description": re.sub(r"\n+", "\n", text)}


def place(command: str) -> Path:
    return FOLDER / f"{command.replace(' ', '-')}.json"


def text(command: str) -> str:
    return json.dumps(schema(command), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for known in FOLDER.glob("*.json"):
        known.unlink()
    for command in DOCUMENTS:
        place(command).write_text(text(command), encoding="utf-8")
