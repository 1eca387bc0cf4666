"""Looks into a wheel and an sdist: `python .ci/contents.py DIST`.

The package is in them, all of it and nothing else.
"""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
NEEDED = ("py.typed", "quantization/recipes/default.yaml", "report/report.html", "targets/costs.json")
OF_SDIST = {"LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg"}


def package() -> set[str]:
    """Files of the package, by their paths in it."""
    root = ROOT / "src" / "tinyint"
    files = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(root).as_posix() for path in files}


def faults(what: str, found: set[str], expected: set[str]) -> list[str]:
    missing, further = sorted(expected - found), sorted(found - expected)
    return [f"{what} lacks {name}" for name in missing] + [f"{what} holds {name}" for name in further]


def main(folder: Path) -> list[str]:
    """Faults of the one wheel and the one sdist in a folder."""
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    files = package()
    told = [f"the package lacks {name}" for name in NEEDED if name not in files]
    with zipfile.ZipFile(wheel) as archive:
        parts = [PurePosixPath(name) for name in archive.namelist()]
    inside = {part.relative_to("tinyint").as_posix() for part in parts if part.parts[0] == "tinyint"}
    told += faults(wheel.name, inside, files)
    others = {part.parts[0] for part in parts} - {"tinyint"}
    told += [f"{wheel.name} holds {name}" for name in others if not name.endswith(".dist-info")]
    with tarfile.open(sdist) as archive:
        names = {PurePosixPath(*PurePosixPath(each.name).parts[1:]) for each in archive if each.isfile()}
    made = {name for name in names if name.parts[:2] == ("src", "tinyint.egg-info")}
    expected = OF_SDIST | {f"src/tinyint/{name}" for name in files}
    return told + faults(sdist.name, {name.as_posix() for name in names - made}, expected)


if __name__ == "__main__":
    found = main(Path(sys.argv[1]))
    sys.exit("\n".join(found) or None)
