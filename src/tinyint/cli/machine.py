"""`tinyint doctor` and `tinyint cache`: this machine, and the cache on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tinyint import api
from tinyint.cli.options import Json
from tinyint.cli.screen import Screen
from tinyint.proof.choices import Choices
from tinyint.proof.kept_races import Races
from tinyint.quantization.calibration.cache import RecordCache
from tinyint.report.words import counted, megabytes
from tinyint.targets import TARGETS

if TYPE_CHECKING:
    from tinyint.cli.documents import CacheDocument

__all__ = ["cache", "doctor"]

_NO_CACHE = "none: there is no home directory; set TINYINT_CACHE_DIR"


def doctor(json: Json = False) -> None:
    """Show this machine's instruction sets and runtimes, and the gain from int8.

    Example:

        tinyint doctor --json
    """
    found = api.doctor()
    table = Table(show_header=False)
    elsewhere = {t.runtime: f"runs on {t.cpu.name}" for t in TARGETS.values() if t.build_commands is not None}
    installed = [
        f"{name} {version or elsewhere.get(name, 'not installed')}"
        for name, version in found.runtimes.items()
    ]
    rows = {
        "processor": f"{found.cpu or 'unknown'} ({found.machine}, {counted(found.cores, 'core')})",
        "instruction sets": ", ".join(found.instruction_sets) or "none that matter here",
        "VNNI": "yes" if found.vnni else "no",
        "sums of 8-bit products": "saturate in pairs (16 bits)" if found.pair_sums_saturate else "exact",
        "expected gain": found.expected_gain,
        "default target": found.default_target,
        "runtimes": "\n".join(installed),
        "cache": f"{found.cache_directory or _NO_CACHE} ({megabytes(found.cache_bytes)})",
        "runtimes under auto": f"{found.choices_directory or _NO_CACHE} ({counted(found.remembered_choices, 'model')})",
        "tinyint": f"{found.tinyint} on Python {found.python}",
    }
    for name, value in rows.items():
        table.add_row(name, escape(value))
    Screen(json).show(found, table)


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove everything that is cached.")] = False,
    json: Json = False,
) -> None:
    """Show or clear what is kept for later runs: calibration records, fastest runtimes, races.

    The directory is TINYINT_CACHE_DIR, or the platform's place for caches; it holds at most 512 MB of records, and the
    runtimes and races of 256 models each.

    Example:

        tinyint cache --clear
    """
    kept, choices, races = RecordCache(), Choices(), Races()
    cleared = [kept.clear(), choices.clear(), races.clear()] if clear else []
    files, removed = sum(count for count, _ in cleared), sum(size for _, size in cleared)
    size = kept.size() + choices.size() + races.size()
    document: CacheDocument = {
        "directory": None if kept.directory is None else str(kept.directory),
        "bytes": size,
        "limit_bytes": kept.limit,
        "removed_files": files,
        "removed_bytes": removed,
    }
    lines = [f"{kept.directory or _NO_CACHE}: {megabytes(size)} of {megabytes(kept.limit)}"]
    if clear:
        lines.insert(0, f"removed {counted(files, 'file')}, {megabytes(removed)}")
    Screen(json).show(document, *lines)
