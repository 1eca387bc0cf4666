"""Config literals in Python files, as in PaddleSlim's demos: read, never run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinyint.errors import RecipeError, nearest
from tinyint.quantization.paddleslim.tables import NOT_HONOURED, READ

__all__ = ["is_python", "read_literal"]

_KEYS = {*READ, *NOT_HONOURED}


def is_python(path: str | Path) -> bool:
    """Whether this is FILE.py or FILE.py:NAME."""
    return _parts(path)[0].suffix == ".py"


def read_literal(path: str | Path) -> dict[str, Any]:
    """The config in FILE.py, or that of the name in FILE.py:NAME. Raises RecipeError.

    It is the one dict of PaddleSlim's keys that is assigned to a name, be it in a function; of several that say the
    same, either.
    """
    file, name = _parts(path)
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except OSError as error:
        raise RecipeError(f"{file}: cannot be read: {error.strerror}") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise RecipeError(f"{file}{line}: not Python: {str(error).partition(' (')[0]}") from None
    found = [(given, node) for given, node in _dicts(tree) if name in (None, given)]
    if name is not None and not found:
        known = [given for given, _ in _dicts(tree)]
        raise RecipeError(f"{file}: assigns no config to {name!r}; {nearest(name, known)}")
    if not found:
        raise RecipeError(
            f"{file}: assigns no dict of PaddleSlim's keys, such as config = {{'weight_quantize_type': …}}; give a "
            "file that does, or the config as YAML"
        )
    read = [_read(file, given, node) for given, node in found]
    if any(each != read[0] for each in read):
        places = ", ".join(f"{given} (line {node.lineno})" for given, node in found)
        raise RecipeError(f"{file}: holds several configs, {places}; choose one: {file}:{found[0][0]}")
    return read[0]


def _parts(path: str | Path) -> tuple[Path, str | None]:
    text = str(path)
    file, colon, name = text.rpartition(":")
    return (
        (Path(file), name) if colon and name.isidentifier() and file.endswith(".py") else (Path(text), None)
    )


def _dicts(tree: ast.AST) -> Iterator[tuple[str, ast.Dict | ast.Call]]:
    """Every `name = {…}` or `name = dict(…)` with a key of PaddleSlim's, in the order of the lines."""
    made = [node for node in ast.walk(tree) if isinstance(node, ast.Assign | ast.AnnAssign)]
    for node in sorted(made, key=lambda each: each.lineno):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        given = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
        value = node.value
        if isinstance(value, ast.Dict | ast.Call) and _named_keys(value) & _KEYS:
            yield given, value


def _named_keys(value: ast.Dict | ast.Call) -> set[object]:
    """Constant keys of a dict literal or `dict` call by keywords."""
    if isinstance(value, ast.Dict):
        return {key.value for key in value.keys if isinstance(key, ast.Constant)}
    is_dict = getattr(value.func, "id", "") == "dict" and not value.args
    return {keyword.arg for keyword in value.keywords} if is_dict else set()


def _read(file: Path, given: str, node: ast.Dict | ast.Call) -> dict[str, Any]:
    items: list[tuple[ast.expr | str | None, ast.expr]] = (
        list(zip(node.keys, node.values, strict=True))
        if isinstance(node, ast.Dict)
        else [(keyword.arg, keyword.value) for keyword in node.keywords]
    )
    config: dict[str, Any] = {}
    for key, value in items:
        try:
            name = key if isinstance(key, str) else ast.literal_eval(key)  # type: ignore[arg-type]
            config[name] = ast.literal_eval(value)
        except (ValueError, TypeError, AttributeError):
            shown = "**" if key is None else key if isinstance(key, str) else ast.unparse(key)
            raise RecipeError(
                f"{file}, line {value.lineno}: {given}[{shown}] is computed ({ast.unparse(value):.40}), and the "
                "file is not run; write the value there, or give the config as YAML"
            ) from None
    return config
