"""Pages of the site that are not in this folder: the start, the reference of the Python API, and two of the repository.

A hook of MkDocs, which mkdocs.yml names.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import tinyint

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files of the repository's root, by the names that they have on the site."""
OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)]+)\)")
"""Links to files that the site does not have; only their text stays."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages."""
    for source, name in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=_from_within_docs(text)))
    files.append(File.generated(config, "api.md", content="\n".join(_reference())))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Takes links out of the folder back to their text."""
    for source, name in PAGES.items():
        markdown = markdown.replace(f"](../{source})", f"]({name})")
    return OUTSIDE.sub(r"\1", markdown)


def _from_within_docs(text: str) -> str:
    text = text.replace("](docs/", "](")
    for source, name in PAGES.items():
        text = text.replace(f"]({source})", f"]({name})")
    return re.sub(r"\]\((benchmarks|deploy|examples|configs)/[^)]*\)", "]", text)


def _reference() -> Iterator[str]:
    """A section for each kind of public name."""
    groups: dict[str, list[str]] = {"Functions": [], "Values": [], "Errors": []}
    for name in tinyint.__all__:
        public = getattr(tinyint, name)
        is_error = inspect.isclass(public) and issubclass(public, (Exception, Warning))
        groups["Errors" if is_error else "Values" if inspect.isclass(public) else "Functions"].append(name)
    yield "# Python API\n\nEverything that `import tinyint` offers.\n"
    for title, names in groups.items():
        yield f"## {title}\n"
        yield from (f"::: tinyint.{name}\n" for name in names)
