"""Samples from the user's code: `package.module:function`, a function that returns an iterable."""

from __future__ import annotations

import importlib
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tinyint.data.iterable import as_iterable
from tinyint.errors import DataError, nearest

_SPEC = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_OURS = str(Path(__file__).parents[1])
_INSTALLED = tuple(sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib"))


def is_function_spec(spec: str) -> bool:
    return _SPEC.fullmatch(spec) is not None


def user_samples(spec: str) -> Callable[[], Iterator[Any]]:
    """Function that starts a new pass over the samples of `package.module:function`.

    Modules are looked up in the working directory first; it stays on Python's path for later imports. An exception of
    the user's code becomes a DataError with file and line. Raises DataError if there is no such module or function.
    """
    function = load_function(spec)

    def samples() -> Iterator[Any]:
        try:
            yield from as_iterable(function())
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"{spec} failed: {_place(error)}") from error

    return samples


def load_function(spec: str) -> Callable[..., Any]:
    """Function by its name, `package.module:function`; see `user_samples`. Raises DataError."""
    module_name, _, function_name = spec.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise DataError(
                f"there is no module {error.name!r}; looked in {here} and on Python's path"
            ) from None
        raise DataError(f"importing {module_name} failed: {_place(error)}") from error
    except (Exception, SystemExit) as error:
        raise DataError(f"importing {module_name} failed: {_place(error)}") from error
    if not hasattr(module, function_name):
        public = [name for name in vars(module) if not name.startswith("_")]
        raise DataError(
            f"the module {module_name} has no {function_name!r}: {nearest(function_name, public)}"
        )
    function = getattr(module, function_name)
    if not callable(function):
        raise DataError(f"{module_name}:{function_name} is a {type(function).__name__}, not a function")
    return function  # type: ignore[no-any-return]


def _place(error: BaseException) -> str:
    """Error with the last line of the user's code on the way to it."""
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        return message  # it has file and line
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(("<frozen", _OURS))
    ]
    own = [f for f in frames if not f.filename.startswith(_INSTALLED)] or frames
    return f"{own[-1].filename}, line {own[-1].lineno}: {message}" if own else message
