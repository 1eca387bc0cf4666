"""What the check of wheel and sdist in `.ci/package` finds."""

from __future__ import annotations

import io
import runpy
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).parents[1] / ".ci" / "contents.py"))
PACKAGE: set[str] = SCRIPT["package"]()
BESIDE = {f"src/tinyint/{name}" for name in PACKAGE} | SCRIPT["OF_SDIST"]


def made(folder: Path, wheel: Iterable[str], sdist: Iterable[str]) -> list[str]:
    with zipfile.ZipFile(folder / "tinyint-1-py3-none-any.whl", "w") as archive:
        for name in (*wheel, "tinyint-1.dist-info/METADATA"):
            archive.writestr(name, b"")
    with tarfile.open(folder / "tinyint-1.tar.gz", "w:gz") as archive:
        for name in (*sdist, "src/tinyint.egg-info/PKG-INFO"):
            archive.addfile(tarfile.TarInfo(f"tinyint-1/{name}"), io.BytesIO())
    found: list[str] = SCRIPT["main"](folder)
    return found


def test_the_package_is_found_whole(tmp_path):
    assert made(tmp_path, {f"tinyint/{name}" for name in PACKAGE}, BESIDE) == []


@pytest.mark.parametrize("name", SCRIPT["NEEDED"])
def test_what_is_missing_is_named(tmp_path, name):
    assert name in PACKAGE
    wheel = {f"tinyint/{each}" for each in PACKAGE - {name}}
    found = made(tmp_path, wheel, BESIDE - {f"src/tinyint/{name}"})
    assert found == [
        f"tinyint-1-py3-none-any.whl lacks {name}",
        f"tinyint-1.tar.gz lacks src/tinyint/{name}",
    ]


def test_junk_is_named(tmp_path):
    wheel = {f"tinyint/{name}" for name in PACKAGE} | {"tests/test_docs.py", "tinyint/notes.txt"}
    assert made(tmp_path, wheel, BESIDE | {"tests/test_docs.py"}) == [
        "tinyint-1-py3-none-any.whl holds notes.txt",
        "tinyint-1-py3-none-any.whl holds tests",
        "tinyint-1.tar.gz holds tests/test_docs.py",
    ]
