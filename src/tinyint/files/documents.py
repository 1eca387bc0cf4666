"""Reading of untrusted YAML within bounds, and messages of bounded length about it.

With aliases, nine lines can stand for a thousand million values. The values are counted before any is built.
"""

from __future__ import annotations

import os
import reprlib
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

__all__ = ["DocumentError", "parse_yaml", "read_document", "sentences", "shown"]

_LARGEST = 8 * 2**20
"""Most bytes of a document."""

_MOST = 100_000
"""Most values of a document, with aliases expanded."""

_LETTERS, _SENTENCES = 200, 5

# PyYAML's safe loader raises these, beside YAMLError, for invalid dates, tags and numbers.
_ERRORS = (
    yaml.YAMLError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 80
_repr.maxlevel = 3


class DocumentError(Exception):
    """Fault of a document, with its line."""

    def __init__(self, problem: str, line: int = 1) -> None:
        super().__init__(problem)
        self.problem, self.line = problem, line


def read_document(path: str | Path) -> bytes:
    """Bytes of a document; raises DocumentError if it is unreadable or too large."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise DocumentError("it is no file")
        if status.st_size > _LARGEST:
            raise DocumentError(f"it has {status.st_size} bytes; a document has {_LARGEST} at most")
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise DocumentError(getattr(error, "strerror", None) or str(error)) from None


def parse_yaml(content: str | bytes) -> Any:
    """Content of a YAML document; raises DocumentError, also for a repeated key."""
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1 if isinstance(content, bytes) else 1
        raise DocumentError("not text in UTF-8, expected YAML", line) from None
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except _ERRORS as error:
        raise DocumentError(_problem(error), _line(error, text)) from None


class _Loader(yaml.SafeLoader):
    """YAML loader that refuses too many values, and repeated keys.

    YAML forbids repeated keys, but PyYAML accepts them.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        if node is not None and id(node) not in self._sizes:
            if node.end_mark is None:
                raise yaml.composer.ComposerError(
                    problem="an alias stands within what it names", problem_mark=mark
                )
            self._sizes[id(node)] = 1 + sum(self._sizes[id(part)] for part in _parts(node))
        if node is not None and self._sizes[id(node)] > _MOST:
            raise yaml.composer.ComposerError(
                problem=f"it stands for more than {_MOST} values", problem_mark=mark
            )
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in keys:
                    raise yaml.constructor.ConstructorError(
                        problem=f"the key {shown(key.value)} stands there twice", problem_mark=key.start_mark
                    )
                keys.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def _parts(node: Any) -> Iterable[Any]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def _line(error: Exception, text: str) -> int:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        return int(mark.line) + 1
    position = getattr(error, "position", 0)  # of a yaml.reader.ReaderError
    return text[:position].count("\n") + 1 if isinstance(position, int) else 1


def _problem(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
    own = ("stands there twice", "it stands for", "an alias stands")
    return problem if any(words in problem for words in own) else f"not valid YAML: {_cut(problem)}"


def shown(value: object) -> str:
    """Value of a document, abbreviated for a message."""
    try:
        return _cut(_repr.repr(value))
    except ValueError:  # a number of more digits than Python writes
        return f"a very long {type(value).__name__}"


def sentences(mistakes: Iterable[str]) -> str:
    """First mistakes, joined, and the number of further ones."""
    texts = list(mistakes)
    more = [f"and {len(texts) - _SENTENCES} more"] if len(texts) > _SENTENCES else []
    return "; ".join([_cut(text, 3 * _LETTERS) for text in texts[:_SENTENCES]] + more)


def _cut(text: str, letters: int = _LETTERS) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "…"
