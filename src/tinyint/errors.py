"""Errors that a user can cause, and their hierarchy.

    TinyintError                 anything below; the command line prints it and exits with code 2
    ├── ModelError               a model that cannot be read, is not supported, or is quantized already
    ├── DataError                samples, list files, labels, preprocessing
    ├── RecipeError              a recipe, a key of it, a rule, or a pattern that matches nothing
    ├── TargetError              an unknown target, or a scheme that the target cannot run
    ├── RecordError              a calibration record that is damaged or belongs to another model
    ├── ReportError              a report that is damaged, of another form, or not comparable with another
    ├── DependencyError          an optional package that is needed is not installed
    ├── DivergedError            training reached NaN or infinity
    └── OutputError              a file that cannot be written

    TinyintWarning               the request was carried out, but the user should check the result

Every message names the file, tensor or key, the value found, the value expected, and the way out.
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
    "ReportError",
    "TargetError",
    "TinyintError",
    "TinyintWarning",
    "nearest",
]


class TinyintError(Exception):
    """Base of all errors that a user can cause."""


class ModelError(TinyintError):
    """Model that cannot be read, is not supported, or is quantized already."""


class DataError(TinyintError):
    """Fault of samples, list files, labels or preprocessing."""


class RecipeError(TinyintError):
    """Fault of a recipe, one of its keys or one of its patterns."""


class TargetError(TinyintError):
    """Unknown target, or one that cannot run a scheme."""


class RecordError(TinyintError):
    """Calibration record that is damaged or belongs to another model."""


class ReportError(TinyintError):
    """Report that is damaged, of another form, or not comparable with another."""


class DependencyError(TinyintError):
    """Missing optional package; the message names the extra that installs it."""


class DivergedError(TinyintError):
    """Loss or weight that became NaN or infinite; checkpoint and best model are unchanged."""


class OutputError(TinyintError):
    """File that cannot be written."""


class TinyintWarning(UserWarning):
    """Request that was carried out, but whose result the user should check."""


_LISTED = 6


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """End of a message: known names close to `name`, or else the first few."""
    options = sorted(set(known))
    close = difflib.get_close_matches(name, options, n=count, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    if len(options) > _LISTED:
        return f"known: {', '.join(options[:_LISTED])} and {len(options) - _LISTED} more"
    return f"known: {', '.join(options)}" if options else "there are none"
