"""Puts the results into docs/benchmarks.md, between its markers.

python benchmarks/tables.py
"""

from __future__ import annotations

import json
import re
from operator import itemgetter
from pathlib import Path
from typing import Any

from arm import tables as arm
from pretrained import tables as pretrained
from references.references import REFERENCES

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results")

Rows = list[dict[str, Any]]
BEST = "best of its algorithms"


def result(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())


def circumstances(found: dict[str, Any]) -> str:
    machine, versions = found["machine"], found["versions"]
    tools = ", ".join(
        f"{name} {version}" for name, version in versions.items() if name not in ("tinyint", "numpy", "onnx")
    )
    amx = " with AMX" if machine["amx_int8"] and "AMX" not in machine["cpu"] else ""
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
    lines = [
        "| | images | instructions, target | measured on | step, s | against float | memory | against float |",
        "|---|---|---|---|---|---|---|---|",
    ]
    order = ("model", "batch", "instructions", "target", "measured_on")
    for row in sorted(rows, key=itemgetter(*order)):
        target = f", {row['target']}" if row["made_by"] == "tinyint" else ""
        where = f"{row['batch']} | {row['instructions']}{target} | {row['measured_on']}"
        times = f"{row['median_seconds']:.2f} | {row['ratio_to_float']:.2f}×"
        memory = f"{row['peak_mib']:,} MiB | {row['memory_ratio_to_float']:.2f}×"
        lines.append(f"| {row['model']}, {row['made_by']} | {where} | {times} | {memory} |")
    return "\n".join(lines)


def processors() -> str:
    lines = [
        "| | simulated | AVX2 | AVX-512 without VNNI | top-1 as float: simulated | AVX2 | AVX-512 |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = result("processors")["rows"]
    by = {(row["network"], row["model"], row["instructions"]): row for row in rows}
    places = ("any", "AVX2", "AVX-512 without VNNI")
    for network, model in dict.fromkeys((row["network"], row["model"]) for row in rows):
        found = [by[network, model, place] for place in places]
        cells = [f"{row['sqnr_db']:.1f}" for row in found]
        cells += ["" if row["same_top1"] is None else f"{row['same_top1']:.1%}" for row in found]
        lines.append(f"| {network}, {model} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def pair_sums() -> str:
    lines = [
        "| | kinds of operators | whose pairs saturate | as predicted | most off, of limited weights |",
        "|---|---|---|---|---|",
    ]
    for row in result("pair_sums")["rows"]:
        where = f"{row['runtime']}, {row['instructions']}"
        counts = f"{row['kinds']} | {row['saturating']} | {row['as_predicted']} | {row['most_off']:g}"
        lines.append(f"| {where} | {counts} |")
    return "\n".join(lines)


def calls() -> str:
    found = result("calls")
    lines = [
        circumstances(found),
        "",
        "| | runtime | bare, ms | tinyint, ms | ratio |",
        "|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        figures = f"{row['bare_ms']:.3f} | {row['tinyint_ms']:.3f} | {row['ratio']:.3f}"
        lines.append(f"| {row['what']} | {row['runtime']} | {figures} |")
    return "\n".join(lines)


def folded() -> str:
    found = result("folded")
    by = {(r["model"], r["runtime"], r["way"]): r for r in found["rows"]}
    lines = [
        "| | pixels in | tinyint's table before it | gain | NumPy before it | gain |",
        "|---|---|---|---|---|---|",
    ]
    for model, runtime in dict.fromkeys(key[:2] for key in by):
        cells = [f"{by[model, runtime, 'folded']['median_ms']:.2f}"]
        for way in ("tinyint", "numpy"):
            row = by[model, runtime, way]
            cells += [f"{row['median_ms']:.2f}", f"{row['ratio_of_folded']:.2f}×"]
        lines.append(f"| {model}, {runtime} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", circumstances(found)])


def folded_resize() -> str:
    found = result("folded_resize")
    by = {(r["model"], r["way"]): r for r in found["rows"]}
    lines = [
        "| | resize inside | Pillow, pixels in | gain | Pillow, tinyint's table | gain | Pillow, NumPy | gain |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for model in dict.fromkeys(key[0] for key in by):
        cells = [f"{by[model, 'inside']['median_ms']:.2f}"]
        for way in ("folded", "tinyint", "numpy"):
            row = by[model, way]
            cells += [f"{row['median_ms']:.2f}", f"{row['ratio_of_inside']:.2f}×"]
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", circumstances(found)])


def bad_input() -> str:
    lines = ["| | tried | refused | faults |", "|---|---|---|---|"]
    lines += [
        f"| {row['class']} | {row['tried']:,} | {row['refused']:,} | {row['faults']:,} |"
        for row in result("bad_input")["rows"]
    ]
    return "\n".join(lines)


def planted_faults() -> str:
    lines = ["| | drawn | change nothing | caught | |", "|---|---|---|---|---|"]
    for row in result("mutations")["rows"]:
        share = f"{row['caught'] / row['asked']:.0%}"
        cells = f"{row['drawn']} | {len(row['equivalent'])} | {row['caught']} of {row['asked']} | {share}"
        lines.append(f"| {row['module']}, seed {row['seed']} | {cells} |")
    return "\n".join(lines)


def accuracy() -> str:
    rows = result("accuracy")["rows"]
    sets = list(dict.fromkeys(row["data"] for row in rows))
    by = {(row["data"], row["model"]): row for row in rows}
    sizes = {data: by[data, "float"]["test_samples"] for data in sets}
    lines = [
        "| | " + " | ".join(f"{data}, {sizes[data]:,} images | over control | p" for data in sets) + " |",
        "|---|" + "---|---|---|" * len(sets),
    ]
    for model in dict.fromkeys(row["model"] for row in rows):
        cells = []
        for data in sets:
            row = by.get((data, model))
            cells += (
                [f"{row['top1']:.1%}", f"{100 * row['over_control']:+.1f}", p_value(row["p"])]
                if row
                else [""] * 3
            )
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def references() -> str:
    """The float value, and what each way changes, in points; in bold what is beyond chance."""
    rows = reference_rows("float as trained")
    ways = {
        "PTQ, ORT": ("tinyint", "PTQ mse", "onnxruntime"),
        "ort.quantization": ("onnxruntime.quantization", BEST, "onnxruntime"),
        "PTQ, OpenVINO": ("tinyint", "PTQ mse", "openvino"),
        "NNCF": ("nncf", "PTQ", "openvino"),
        "PaddleSlim": ("paddleslim", BEST, "paddle"),
        "QAT, ORT": ("tinyint", "QAT", "onnxruntime"),
        "float control": ("float", "control", "onnxruntime"),
    }
    lines = [
        "| | metric | samples | float | " + " | ".join(ways) + " |",
        "|---|---|---|---|" + "---|" * len(ways),
    ]
    for name in dict.fromkeys(row["reference"] for row in rows):
        own = [row for row in rows if row["reference"] == name]
        by = {(row["made_by"], row["how"], row["runtime"]): row for row in own}
        for peer in ("onnxruntime.quantization", "paddleslim"):
            theirs = [row for row in own if row["made_by"] == peer and row["how"] != "float"]
            if theirs:
                best = max(theirs, key=lambda row: row["value"])
                by[peer, BEST, best["runtime"]] = best
        start = by["float", "as trained", "onnxruntime"]
        cells = [name, start["metric"], f"{start['samples']:,}", f"{100 * start['value']:.2f}"]
        lines.append("| " + " | ".join([*cells, *(_change(by.get(way)) for way in ways.values())]) + " |")
    return "\n".join(lines)


def algorithms() -> str:
    """Post-training quantization of the references, by each way to find ranges, in points against float."""
    rows = [row for row in reference_rows("float as trained") if row["how"].startswith("PTQ")]
    names = list(dict.fromkeys(row["reference"] for row in rows))
    by = {(row["reference"], row["made_by"], row["how"], row["runtime"]): row for row in rows}
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for maker, how, runtime in dict.fromkeys((r["made_by"], r["how"], r["runtime"]) for r in rows):
        cells = [_change(by.get((name, maker, how, runtime))) for name in names]
        lines.append(f"| {maker} {how.removeprefix('PTQ ')}, {runtime} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def distances() -> str:
    """Distance to float of the references beside the change of their accuracy, by the same ways."""
    changes = {
        (row["reference"], row["how"], row["runtime"]): row for row in reference_rows("float as trained")
    }
    rows = sorted(
        result("distance")["rows"], key=lambda r: list(REFERENCES).index(r["reference"].split(",")[0])
    )
    lines = [
        "| | SQNR, dB | simulated | at most, LSB | as float | accuracy | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        way = row["reference"].split(",")[0], row["how"], row["runtime"]
        same = row["top1_agreement"] if row["rows_matched"] is None else row["rows_matched"]
        figures = [row[key] for key in ("sqnr_db", "simulated_sqnr_db", "lsb_max")]
        cells = [
            f"{row['reference']}, {row['how'].removeprefix('PTQ ')}, {row['runtime']}",
            *("" if figure is None else f"{figure:.1f}" for figure in figures),
            "" if same is None else f"{same:.1%}",
            _change(changes.get(way)),
            row["accuracy"],
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def rivals() -> str:
    """Side by side on the same samples: PTQ as it is by default less each peer, and QAT less its float control."""
    columns = {
        "PTQ - ort MinMax": ("PTQ mse", "onnxruntime.quantization PTQ MinMax"),
        "PTQ - ort Entropy": ("PTQ mse", "onnxruntime.quantization PTQ Entropy"),
        "PTQ - ort Percentile": ("PTQ mse", "onnxruntime.quantization PTQ Percentile"),
        "PTQ - NNCF": ("PTQ mse", "nncf PTQ"),
        "QAT - control": ("QAT", "float control"),
    }
    partly = [row["how"] for row in reference_rows("float control") if row["how"].startswith("QAT,")]
    columns |= {f"{how} - control": (how, "float control") for how in sorted(set(partly))}
    return side_by_side(columns)


def paddleslim() -> str:
    """PTQ as it is by default less each of PaddleSlim's algorithms, where it was measured."""
    against = {row["against"] for row in reference_rows()}
    names = sorted(name for name in against if name.startswith("paddleslim"))
    return side_by_side({f"PTQ - {name.split()[-1]}": ("PTQ mse", name) for name in names})


def side_by_side(columns: dict[str, tuple[str, str]]) -> str:
    """A row for each reference that has any of the pairs (how, against)."""
    by = {(row["reference"], row["how"], row["against"]): row for row in reference_rows()}
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for name in dict.fromkeys(row["reference"] for row in reference_rows()):
        cells = [_change(by.get((name, *pair))) for pair in columns.values()]
        if any(cells):
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def reference_rows(against: str | None = None) -> Rows:
    rows = [row for row in result("references")["rows"] if against in (None, row["against"])]
    return sorted(rows, key=lambda row: list(REFERENCES).index(row["reference"]))


def _change(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    told = f"{100 * row['change']:+.2f}"
    return f"**{told}**" if row["p"] < 0.05 else told


def p_value(p: float) -> str:
    return f"{p:.2g}" if p >= 0.001 else "<0.001"


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
    chapter = ROOT / "docs" / "benchmarks.md"
    for threads in (1, 2):
        fill(chapter, f"inference, {threads} threads", inference(threads))
    fill(chapter, "fidelity", fidelity())
    fill(chapter, "calibration", calibration())
    fill(chapter, "memory", calibration(1000))
    fill(chapter, "training", training())
    fill(chapter, "processors", processors())
    fill(chapter, "pair sums", pair_sums())
    fill(chapter, "arm", arm.instructions(result("arm")["rows"]))
    fill(chapter, "arm in layers", arm.in_layers(result("arm")["rows"]))
    fill(chapter, "arm facts", arm.facts(result("arm_facts")["rows"]))
    fill(chapter, "pretrained", pretrained.networks(result("pretrained")["rows"]))
    fill(chapter, "calls", calls())
    fill(chapter, "folded", folded())
    fill(chapter, "folded, with resize", folded_resize())
    fill(chapter, "bad input", bad_input())
    fill(chapter, "planted faults", planted_faults())
    fill(chapter, "accuracy", accuracy())
    fill(chapter, "references", references())
    fill(chapter, "rivals", rivals())
    fill(chapter, "rivals of PaddleSlim", paddleslim())
    fill(chapter, "algorithms", algorithms())
    fill(chapter, "distances", distances())
    fill(chapter, "machine of training and accuracy", circumstances(result("qat")))
    fill(chapter, "machine", circumstances(result("inference")))


if __name__ == "__main__":
    main()
