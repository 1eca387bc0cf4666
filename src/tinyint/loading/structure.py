"""Tensors in nested arguments and results: extracting, naming and replacing them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

__all__ = ["Kind", "children", "filled", "leaf_paths", "leaves", "names_of", "output_kind"]

Kind = Literal["single", "tuple", "list", "dict"]
Path = tuple[str, ...]


def children(value: Any) -> list[tuple[str, Any]] | None:
    """Contents of a container by key, attribute or index; None for other values."""
    if isinstance(value, Mapping):
        return [(str(key), inner) for key, inner in value.items()]
    if hasattr(value, "_fields"):  # a named tuple
        return [(name, getattr(value, name)) for name in value._fields]
    if isinstance(value, list | tuple):
        return [(str(i), inner) for i, inner in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return None


def leaf_paths(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """(path, value) of all values that are not containers, in order."""
    inner = children(value)
    if inner is None:
        yield path, value
        return
    for key, child in inner:
        yield from leaf_paths(child, (*path, key))


def leaves(value: Any, type_: type) -> list[Any]:
    """Leaves of one type, in order."""
    return [leaf for _, leaf in leaf_paths(value) if isinstance(leaf, type_)]


def names_of(paths: Sequence[Path], sole: str) -> list[str]:
    """Name of each path: its last key if unique, else all keys with dots.

    An index is no name by itself, so the key before it is included. The empty path is called `sole`.
    """
    short = [".".join(_named_end(path)) for path in paths]
    return [
        sole if not path else name if short.count(name) == 1 else ".".join(path)
        for path, name in zip(paths, short, strict=True)
    ]


def _named_end(path: Path) -> Path:
    start = max((i for i, key in enumerate(path) if not key.isdigit()), default=0)
    return path[start:]


def filled(value: Any, type_: type, source: Iterator[Any]) -> Any:
    """Copy of `value` with its leaves of one type taken from `source`, in order."""
    return _mapped(value, lambda leaf: next(source) if isinstance(leaf, type_) else leaf)


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    inner = children(value)
    if inner is None:
        return change(value)
    new = [_mapped(child, change) for _, child in inner]
    if isinstance(value, Mapping):
        return dict(zip(value, new, strict=True))
    if hasattr(value, "_fields"):
        return type(value)(*new)
    if isinstance(value, list | tuple):
        return new if isinstance(value, list) else tuple(new)
    return dataclasses.replace(value, **{key: child for (key, _), child in zip(inner, new, strict=True)})


def output_kind(value: Any) -> Kind:
    """Kind of a result: a single tensor, or tensors by position or by name."""
    if children(value) is None:
        return "single"
    if isinstance(value, list):
        return "list"
    return "tuple" if isinstance(value, tuple) else "dict"
