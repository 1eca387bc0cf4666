"""What holds for all tests: properties are tried on the same examples each time, and the last line says where."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import hypothesis
import pytest

from tests.scheduling import pytest_xdist_make_scheduler  # noqa: F401  a hook
from tinyint.runtimes import RUNTIMES, get_runtime
from tinyint.runtimes.base import installed
from tinyint.runtimes.host import host

# Before torch is imported: threads that wait in one of several processes leave the cores to the others.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

hypothesis.settings.register_profile("suite", deadline=None, derandomize=True)
hypothesis.settings.load_profile("suite")


MOST_PROCESSES = 8  # each holds a torch of its own


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    return min(host().cores, MOST_PROCESSES)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reasons = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    skipped = "; ".join(f"{count} × {reason}" for reason, count in reasons.most_common())
    versions = {name: get_runtime(name).available() for name in RUNTIMES} | {"torch": installed("torch")}
    runtimes = ", ".join(f"{name} {version or 'absent'}" for name, version in versions.items())
    terminalreporter.write_line(f"ran on {host().label}; {runtimes}; skipped: {skipped or 'none'}")


def _reason(report: Any) -> str:
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return str(told).removeprefix("Skipped: ")
