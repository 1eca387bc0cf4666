"""Where the tests ran, in one line at the end: facts about a processor hold on it alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tinyint.runtimes import RUNTIMES, get_runtime
from tinyint.runtimes.base import installed
from tinyint.runtimes.host import host


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reasons = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    skipped = "; ".join(f"{count} × {reason}" for reason, count in reasons.most_common())
    versions = {name: get_runtime(name).available() for name in RUNTIMES} | {"torch": installed("torch")}
    runtimes = ", ".join(f"{name} {version or 'absent'}" for name, version in versions.items())
    terminalreporter.write_line(f"ran on {_processor()}; {runtimes}; skipped: {skipped or 'none'}")


def _processor() -> str:
    machine = host()
    known = {
        "AMX": machine.has_amx_int8,
        "VNNI": machine.has_vnni,
        "AVX-512 without VNNI": machine.has_avx512 and not machine.has_vnni,
        "AVX2 without VNNI": machine.has_avx2 and not (machine.has_avx512 or machine.has_vnni),
    }
    sets = ", ".join(name for name, has in known.items() if has)
    return f"{machine.model or machine.machine} ({sets or 'no int8 instructions'})"


def _reason(report: Any) -> str:
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return str(told).removeprefix("Skipped: ")
