"""The tables of ARM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

__all__ = ["facts", "in_layers", "instructions"]

Rows: TypeAlias = Sequence[dict[str, Any]]


def instructions(rows: Rows) -> str:
    """Instructions of float over those of each artifact, by processor, and how far its outputs are off."""
    rows = _by_network(rows)
    by = {(row["network"], row["artifact"], row["processor"]): row for row in rows}
    processors = list(dict.fromkeys(row["processor"] for row in rows))
    lines = [
        f"| | {' | '.join(processors)} | off, LSB | over 1 | on x86 | over 1 | SQNR, dB | simulated |",
        "|---" * (len(processors) + 7) + "|",
    ]
    for network, artifact in dict.fromkeys((row["network"], row["artifact"]) for row in rows):
        taken = {p: by[network, artifact, p] for p in processors if (network, artifact, p) in by}
        totals = {p: row["instructions"]["all"] for p, row in taken.items()}
        if artifact == "float":
            cells = [f"{totals[p] / 1e6:.1f} million" if p in totals else "" for p in processors]
            cells += [""] * 6
        else:
            floats = {p: by[network, "float", p]["instructions"]["all"] for p in totals}
            cells = [f"{floats[p] / totals[p]:.2f}×" if p in totals else "" for p in processors]
            cells += _accuracy([*taken.values()])
        lines.append(f"| {network}, {artifact} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _by_network(rows: Rows) -> Rows:
    return sorted(rows, key=lambda row: (row["network"], row["processor"]))


def _accuracy(rows: Rows) -> list[str]:
    """The worst of all processors, beside x86 and the simulation."""
    x86 = rows[0].get("on_x86")
    return [
        f"{max(row['lsb_max'] for row in rows):.2f}",
        f"{max(row['lsb_over_1'] for row in rows):.1%}",
        *([f"{x86['lsb_max']:.2f}", f"{x86['lsb_over_1']:.1%}"] if x86 else ["", ""]),
        f"{min(row['sqnr_db'] for row in rows):.1f}",
        f"{rows[0]['simulated_sqnr_db']:.1f}",
    ]


def in_layers(rows: Rows) -> str:
    """Codes of single layers on ARM beside the simulation's and x86's, the worst of all processors."""
    lines = [
        "| | values | others | at most, steps | others than on x86 |",
        "|---" * 5 + "|",
    ]
    for network, artifact in dict.fromkeys((row["network"], row["artifact"]) for row in _by_network(rows)):
        layers = [
            row["in_layers"] | {"x86": row.get("in_layers_from_x86", {}).get("others", "")}
            for row in rows
            if (row["network"], row["artifact"]) == (network, artifact) and "in_layers" in row
        ]
        if layers:
            worst = {key: max(each[key] for each in layers) for key in layers[0]}
            lines.append(
                f"| {network}, {artifact} | {worst['values']:,} | {worst['others']:,} | {worst['steps_max']:.2f} | "
                f"{worst['x86']} |"
            )
    return "\n".join(lines)


def facts(rows: Rows) -> str:
    """How the tests of the facts end on each processor, and the codes that the formulas foretell."""
    lines = [
        "| | tests passed | failed | layers | codes | other codes than foretold |",
        "|---" * 6 + "|",
    ]
    for row in rows:
        tests, formulas = row["tests"], row["formulas"]
        failed = tests["failures"] + tests["errors"]
        lines.append(
            f"| {row['emulator'].split(', ', 1)[1]} ({row['processor']}) | {tests['passed']} | {failed} | "
            f"{formulas['layers']} | {formulas['codes']:,} | {formulas['other_codes']} |"
        )
    return "\n".join(lines)
