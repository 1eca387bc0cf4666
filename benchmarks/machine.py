"""What a result is worth without: the machine, the versions, the command and the day."""

from __future__ import annotations

import datetime as dt
import json
import shlex
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from tinyint.runtimes.host import host, parse_cpuinfo

PACKAGES = ("tinyint", "onnxruntime", "openvino", "nncf", "onnx", "numpy", "torch")
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SCRIPT = Path(sys.argv[0]).resolve()  # now, as a script may change the directory


def processor() -> str:
    """The processor itself, also where this process takes it for a lesser one."""
    known = Path("/proc/cpuinfo")
    if not known.exists():
        return host().label
    model, features = parse_cpuinfo(known.read_text())
    return replace(host(), model=model or host().model, features=features).label


def circumstances() -> dict[str, Any]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "command": shlex.join(["python", str(SCRIPT.relative_to(ROOT)), *sys.argv[1:]]),
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "machine": {"cpu": processor(), "cores": host().cores, "amx_int8": host().has_amx_int8},
        "versions": versions,
    }


def store(name: str, rows: list[dict[str, Any]], keys: tuple[str, ...]) -> None:
    """Writes the rows to results/NAME.json, in place of older ones with the same `keys`.

    Each says its processor and its day, as those that stay may be of others.
    """
    told = circumstances()
    rows = [row | {"measured_on": told["machine"]["cpu"], "date": told["date"]} for row in rows]
    path = RESULTS / f"{name}.json"
    kept = json.loads(path.read_text())["rows"] if path.exists() else []
    new = {tuple(row[key] for key in keys) for row in rows}
    kept = [row for row in kept if tuple(row.get(key) for key in keys) not in new]
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps({**told, "rows": [*kept, *rows]}, indent=1) + "\n")
