"""Errors that a user can cause, and their hierarchy.

    TinyintError                 anything below; the command line prints it and exits with code 2
    ├── ModelError               a model that cannot be read, is not supported, or is quantized already
    ├── DataError                samples, list files, labels, preprocessing
    ├── RecipeError              a recipe, a key of it, a rule, or a pattern that matches nothing
    ├── TargetError              an unknown target, or a scheme that the target cannot run
    ├── RecordError              a calibration record that is damaged or belongs to another model
    ├── DependencyError          an optional package that the request needs is not installed
    ├── DivergedError            training came to NaN or infinity
    └── OutputError              a file that cannot be written

    TinyintWarning               the request was carried out, but the user should look

Every message names the file, tensor or key, what was seen, what was expected, and the way out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "DataError",
    "DependencyError",
    "DivergedError",
    "ModelError",
    "OutputError",
    "RecipeError",
    "RecordError",
    "TargetError",
    "TinyintError",
    "TinyintWarning",
    "nearest",
]


class TinyintError(Exception):
    """Base of every error that a user can cause."""


class ModelError(TinyintError):
    """The model cannot be read, is not supported, or is quantized already."""


class DataError(TinyintError):
    """The samples, their list, their labels or their preprocessing are wrong."""


class RecipeError(TinyintError):
    """The recipe, one of its keys or one of its patterns is wrong."""


class TargetError(TinyintError):
    """Unknown target, or one that cannot run the recipe."""


class RecordError(TinyintError):
    """The calibration record is damaged or belongs to another model."""


class DependencyError(TinyintError):
    """An optional package is missing; the message names the extra that installs it."""


class DivergedError(TinyintError):
    """Loss or weight that became NaN or infinite.

    The last checkpoint and the best model are unchanged.
    """


class OutputError(TinyintError):
    """A file cannot be written."""


class TinyintWarning(UserWarning):
    """The request was carried out, but the result deserves a look."""


_LISTED = 6


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """Half sentence with the known names closest to `name`.

    The first few of them if none is close.
    """
    options = sorted(set(known))
    close = difflib.get_close_matches(name, options, n=count, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    if len(options) > _LISTED:
        return f"known: {', '.join(options[:_LISTED])} and {len(options) - _LISTED} more"
    return f"known: {', '.join(options)}" if options else "there are none"
