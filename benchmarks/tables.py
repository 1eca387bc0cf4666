"""Puts the results into README.md and docs/benchmarks.md, between their markers.

python benchmarks/tables.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results")

Rows = list[dict[str, Any]]


def result(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())


def circumstances(found: dict[str, Any]) -> str:
    machine, versions = found["machine"], found["versions"]
    tools = ", ".join(
        f"{name} {version}" for name, version in versions.items() if name not in ("tinyint", "numpy", "onnx")
    )
    amx = " with AMX" if machine["amx_int8"] else ""
    return f"{machine['cpu']}{amx}, {machine['cores']} cores, {found['date']}; {tools}."


def inference(threads: int) -> str:
    found = result("inference")
    rows = {(r["model"], r["runtime"], r["made_by"]): r for r in found["rows"] if r["threads"] == threads}

    def time(model: str, runtime: str, maker: str) -> str:
        return f"{rows[model, runtime, maker]['median_ms']:.2f}"

    def against(model: str, runtime: str, maker: str) -> str:
        return f"{rows[model, runtime, maker]['ratio_to_tinyint']:.2f}×"

    lines = [
        "| | ORT float | ort.quantization | tinyint | speed-up "
        "| OpenVINO float | NNCF | tinyint | speed-up | beside NNCF |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for model in dict.fromkeys(row["model"] for row in found["rows"]):
        ort, ov = "onnxruntime", "openvino"
        cells = [
            model,
            time(model, ort, "float"),
            time(model, ort, "onnxruntime.quantization"),
            time(model, ort, "tinyint"),
            against(model, ort, "float"),
            time(model, ov, "float"),
            time(model, ov, "nncf"),
            time(model, ov, "tinyint"),
            against(model, ov, "float"),
            against(model, ov, "nncf"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def fidelity() -> str:
    found = result("inference")
    rows = {(r["model"], r["runtime"], r["made_by"]): r for r in found["rows"] if r["threads"] == 1}
    lines = [
        "| SQNR, dB | ort.quantization | tinyint (ORT) | NNCF | tinyint (OpenVINO) |",
        "|---|---|---|---|---|",
    ]
    for model in dict.fromkeys(row["model"] for row in found["rows"]):
        makers = [
            ("onnxruntime", "onnxruntime.quantization"),
            ("onnxruntime", "tinyint"),
            ("openvino", "nncf"),
            ("openvino", "tinyint"),
        ]
        cells = [f"{rows[(model, *maker)]['sqnr_db']:.1f}" for maker in makers]
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def calibration(samples: int = 100) -> str:
    rows = [r for r in result("calibration")["rows"] if r["samples"] == samples]
    models = list(dict.fromkeys(r["model"] for r in rows))
    by = {(r["model"], r["tool"]): r for r in rows}
    lines = [
        "| | " + " | ".join(f"{m}: seconds | float passes | peak memory" for m in models) + " |",
        "|---|" + "---|---|---|" * len(models),
    ]
    for tool in dict.fromkeys(r["tool"] for r in rows):
        cells = []
        for model in models:
            row = by[model, tool]
            cells += [f"{row['seconds']:.1f}", f"{row['float_passes']:.1f}", f"{row['peak_mb']:,} MB"]
        lines.append(f"| {tool} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def training() -> str:
    rows = result("qat")["rows"]
    lines = ["| | step, s | against float |", "|---|---|---|"]
    lines += [
        f"| {row['model']}, {row['made_by']} | {row['median_seconds']:.2f} | {row['ratio_to_float']:.2f}× |"
        for row in rows
    ]
    return "\n".join(lines)


def fill(path: Path, name: str, table: str) -> None:
    """Replaces what stands between `<!-- figures: NAME -->` and `<!-- end -->`."""
    start, end = f"<!-- figures: {name} -->", "<!-- end -->"
    text = path.read_text(encoding="utf-8")
    pattern = re.compile(
        re.escape(start) + r"\n(?:(?:(?!<!-- figures).)*?" + re.escape(end) + r")?\n*", re.DOTALL
    )
    assert len(pattern.findall(text)) == 1, f"{path} lacks {start}"
    path.write_text(
        pattern.sub(lambda _: f"{start}\n\n{table}\n\n{end}\n\n", text).rstrip() + "\n", encoding="utf-8"
    )


def main() -> None:
    readme, chapter = ROOT / "README.md", ROOT / "docs" / "benchmarks.md"
    fill(readme, "inference", inference(1))
    fill(readme, "calibration", calibration())
    for threads in (1, 2):
        fill(chapter, f"inference, {threads} threads", inference(threads))
    fill(chapter, "fidelity", fidelity())
    fill(chapter, "calibration", calibration())
    fill(chapter, "memory", calibration(1000))
    fill(chapter, "training", training())
    fill(chapter, "machine", circumstances(result("inference")))


if __name__ == "__main__":
    main()
