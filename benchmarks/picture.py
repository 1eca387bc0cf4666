"""Draws docs/int8-beside-float.svg: speed and accuracy of int8 models, from benchmarks/results.

python benchmarks/picture.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PICTURE = ROOT / "docs" / "int8-beside-float.svg"

TINYINT = "tinyint"
PEERS = {"onnxruntime": "onnxruntime.quantization", "openvino": "nncf", "paddle": "paddleslim"}
RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "paddle": "Paddle"}
LEGEND = {
    TINYINT: "tinyint",
    "onnxruntime.quantization": "onnxruntime.quantization",
    "nncf": "NNCF",
    "paddleslim": "PaddleSlim",
}
BESIDE = {"paddle": "onnxruntime"}  # PaddleSlim runs on Paddle alone: compared with tinyint on ONNX Runtime

WIDTH, TOP, LINE, GAP, FOOT = 980, 108, 14, 7, 108

# Both schemes have a ground of their own: a page may be dark where the system is light.
STYLE = """
svg { --ground: #ffffff; --ink: #1f2328; --faint: #59636e; --rule: #d1d9e0;
      --tinyint: #0969da; --ort: #bc4c00; --nncf: #1a7f37; --slim: #8250df; }
@media (prefers-color-scheme: dark) {
  svg { --ground: #0d1117; --ink: #f0f6fc; --faint: #9198a1; --rule: #3d444d;
        --tinyint: #58a6ff; --ort: #f0883e; --nncf: #3fb950; --slim: #bc8cff; } }
text { font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink); }
.title { font-size: 15px; font-weight: 600; } .faint { fill: var(--faint); font-size: 11px; }
.ground { fill: var(--ground); } .rule { stroke: var(--rule); } .float { stroke: var(--ink); }
.tinyint { fill: var(--tinyint); stroke: var(--tinyint); } .nncf { fill: var(--nncf); stroke: var(--nncf); }
.onnxruntime-quantization { fill: var(--ort); stroke: var(--ort); }
.paddleslim { fill: var(--slim); stroke: var(--slim); } text[class] { stroke: none; }
""".strip()


@dataclass(frozen=True, kw_only=True)
class Point:
    """One int8 model beside its float model; `low` and `high` bound the value with 95 % confidence."""

    tool: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Line:
    """tinyint and a peer on one runtime."""

    runtime: str
    ours: Point
    peer: Point


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The lines of each model, on an axis from `start` to `end`, of which 'float' stands at `float_at`."""

    title: str
    subtitle: str
    ticks: tuple[float, ...]
    unit: str
    float_at: float
    start: float
    end: float
    models: dict[str, list[Line]]
    circumstances: str

    @property
    def below(self) -> int:
        """Number of lines in which tinyint has less than the peer."""
        return sum(line.ours.value < line.peer.value for lines in self.models.values() for line in lines)

    @property
    def lines(self) -> int:
        return sum(len(lines) for lines in self.models.values())


def result(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def circumstances(measured: dict[str, Any], runtimes: tuple[str, ...]) -> str:
    machine, versions = measured["machine"], measured["versions"]
    amx = " with AMX" if machine["amx_int8"] and "AMX" not in machine["cpu"] else ""
    named = ", ".join(f"{name} {versions[name]}" for name in runtimes if name in versions)
    return f"{machine['cpu']}{amx}, {machine['cores']} cores, {measured['date']}; {named}"


def speed() -> Panel:
    measured = result("inference")
    rows = [row for row in measured["rows"] if row["threads"] == 1 and row["precision_of_float"] == "float32"]
    ratios = {(row["model"], row["runtime"], row["made_by"]): row["ratio_to_tinyint"] for row in rows}

    def point(model: str, runtime: str, tool: str) -> Point:
        return Point(tool=tool, value=ratios[model, runtime, "float"] / ratios[model, runtime, tool])

    models = {
        model: [
            Line(
                runtime=runtime,
                ours=point(model, runtime, TINYINT),
                peer=point(model, runtime, PEERS[runtime]),
            )
            for runtime in ("onnxruntime", "openvino")
        ]
        for model in dict.fromkeys(row["model"] for row in rows)
    }
    return Panel(
        title="Speed: times as fast as float",
        subtitle="float32 latency ÷ int8 latency on the same runtime, batch 1, one thread",
        ticks=(1, 3, 5, 7, 9),
        unit="×",
        float_at=1,
        start=0.5,
        end=10,
        models=models,
        circumstances=circumstances(measured, ("onnxruntime", "openvino", "nncf")),
    )


def accuracy() -> Panel:
    measured = result("references")
    rows = [row for row in measured["rows"] if row["against"] == "float as trained"]
    models: dict[str, list[Line]] = {}
    for model in dict.fromkeys(row["reference"] for row in rows):
        own = [row for row in rows if row["reference"] == model]
        for runtime, peer in PEERS.items():
            (ours,) = (
                row
                for row in own
                if (row["made_by"], row["how"], row["runtime"])
                == (TINYINT, "PTQ mse", BESIDE.get(runtime, runtime))
            )
            theirs = [row for row in own if row["made_by"] == peer and row["how"].startswith("PTQ")]
            if theirs:
                best = max(theirs, key=lambda row: row["value"])
                models.setdefault(model, []).append(
                    Line(runtime=runtime, ours=points(ours), peer=points(best))
                )
    return Panel(
        title="Accuracy: points against float",
        subtitle="top-1, AP or mIoU on 2,000 or 3,000 unseen samples, with the 95 % interval",
        ticks=(-2, -1.5, -1, -0.5, 0, 0.5),
        unit="",
        float_at=0,
        start=-2.1,
        end=0.8,
        models=models,
        circumstances=circumstances(measured, ("onnxruntime", "openvino", "nncf")),
    )


def points(row: dict[str, Any]) -> Point:
    """Change of the accuracy in points."""
    value, low, high = (100 * row[key] for key in ("change", "low", "high"))
    return Point(tool=row["made_by"], value=value, low=low, high=high)


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    attributes = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{attributes}>{escape(words)}</text>'


def mark(tool: str, x: float, y: float) -> str:
    """One shape for each tool, so that colours are not needed to tell them apart."""
    kind = tool.replace(".", "-")
    shapes = {
        TINYINT: f'<circle cx="{x:.1f}" cy="{y:g}" r="3.7" class="{kind}"/>',
        "onnxruntime.quantization": f'<path d="M{x - 4.5:.1f} {y - 4.5:g}h9v9h-9z" class="{kind}"/>',
        "nncf": f'<path d="M{x:.1f} {y - 6:g}l6 6l-6 6l-6 -6z" class="{kind}"/>',
        "paddleslim": f'<path d="M{x:.1f} {y - 6:g}l6 10.5h-12z" class="{kind}"/>',
    }
    return shapes[tool]


def draw(panel: Panel, left: float, width: float, bottom: float) -> Iterator[str]:
    """The panel with names at `left`, its axis after them, its rows from TOP to `bottom`."""
    start, end = left + 243, left + width

    def at(value: float) -> float:
        share = (value - panel.start) / (panel.end - panel.start)
        return start + share * (end - start)

    yield text(left, 28, panel.title, "title")
    yield text(left, 45, panel.subtitle, "faint")
    for tick in panel.ticks:
        kind = "float" if tick == panel.float_at else "rule"
        yield f'<path d="M{at(tick):.1f} {TOP - 14}V{bottom:g}" class="{kind}"/>'
        label = "float" if kind == "float" else f"{tick:g}{panel.unit}".replace("-", "−")
        yield text(at(tick), bottom + 14, label, "faint", "middle")
    y = float(TOP)
    for model, lines in panel.models.items():
        yield text(left, y + 4, model)
        for line in lines:
            yield text(start - 16, y + 4, RUNTIMES[line.runtime], "faint", "end")
            for point in (line.peer, line.ours):
                yield from marked(point, at, panel.start, y)
            y += LINE
        y += GAP


def marked(point: Point, at: Any, least: float, y: float) -> Iterator[str]:
    """The point with its interval; one that is off the axis stands at its start, with its value."""
    kind = point.tool.replace(".", "-")
    if point.value < least:
        yield mark(point.tool, at(least), y)
        yield text(at(least) + 9, y + 4, f"◂ {point.value:.1f}".replace("-", "−"), kind)
        return
    if point.low is not None and point.high is not None:
        low, high = at(max(point.low, least)), at(point.high)
        yield f'<path d="M{low:.1f} {y:g}H{high:.1f}" class="{kind}" stroke-opacity=".45"/>'
    yield mark(point.tool, at(point.value), y)


def height(panel: Panel) -> float:
    return panel.lines * LINE + len(panel.models) * GAP


def notes(fast: Panel, exact: Panel) -> list[str]:
    return [
        f"Speed: networks of the zoo, and MiniLM. {fast.circumstances}.",
        f"Accuracy: networks trained on synthetic data. {exact.circumstances}.",
        "Of onnxruntime.quantization and PaddleSlim, the algorithm that did best on the test set. PaddleSlim runs on "
        "Paddle; beside it, tinyint on ONNX Runtime.",
    ]


def picture() -> str:
    panels = speed(), accuracy()
    bottom = TOP + max(map(height, panels))
    total = bottom + FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total:g}" role="img" '
        'aria-label="Speed and accuracy of int8 models beside float">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{total:g}" class="ground"/>',
    ]
    x = 20.0
    for tool, name in LEGEND.items():
        parts += [mark(tool, x + 5, 68), text(x + 16, 72, name)]
        x += 45 + 6.8 * len(name)
    for panel, left in zip(panels, (20, 500), strict=True):
        parts += draw(panel, left, 460, bottom)
    fast, exact = panels
    parts.append(
        text(
            20,
            bottom + 42,
            f"tinyint is slower than the peer in {fast.below} of {fast.lines} rows, "
            f"and less accurate in {exact.below} of {exact.lines}.",
        )
    )
    parts += [text(20, bottom + 60 + 16 * i, note, "faint") for i, note in enumerate(notes(fast, exact))]
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
