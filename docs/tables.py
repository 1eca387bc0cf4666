"""Writes the tables in these chapters that are made from the code: `python docs/tables.py`.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; `tests/test_docs.py` holds it against the code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from tinyint.cli.documents import DOCUMENTS
from tinyint.cli.exit_codes import MEANINGS, by_signal
from tinyint.quantization.paddleslim.tables import (
    ACTIVATIONS,
    ALGORITHMS,
    GRANULARITY,
    NOT_HONOURED,
    OPERATORS,
)
from tinyint.targets import TARGETS, Inputs, OperatorRule, Output, Target, WeightAxis, Weightless

DOCS = Path(__file__).parent
_BLOCK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

_OUTPUT = {
    Output.REQUIRED: "before and after it",
    Output.OPTIONAL: "before it; after it if an int8 operator with weights reads the result",
    Output.ON_DEMAND: "before it; after it if an int8 operator reads the result",
    Output.FORBIDDEN: "before it, none after it",
    Output.TRANSPARENT: "before it, for its readers as well; none after it",
}
_WEIGHTLESS = {
    Weightless.NEVER: "",
    Weightless.ON_REQUEST: "products of two computed tensors only under `op_types: all`",
    Weightless.PRESET: "also products of two computed tensors",
}


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _head(*cells: str) -> Iterator[str]:
    yield _row(*cells)
    yield "|" + "---|" * len(cells)


def _notes(rule: OperatorRule) -> str:
    notes = [_WEIGHTLESS[rule.weightless]]
    if rule.inputs is Inputs.RESIDUAL:
        notes.append("only the input that comes the shorter way")
    if rule.fused:
        notes.append(
            "no quantizer between it and the convolution or product before it, if it alone reads that"
        )
    if rule.operands is not None:
        notes.append(f"the operands of those as {rule.operands}")
    if rule.windows:
        notes.append("not with " + ", ".join(rule.windows))
    if rule.least > 1:
        notes.append(f"not where the result may have fewer than {rule.least} elements")
    if rule.needs_bias:
        notes.append("a bias of 1e-30 where there is none and several read the result")
    if rule.uneven_bias:
        notes.append(
            f"a bias whose numbers differ where a quantizer is after a matrix of up to {rule.uneven_bias} rows"
        )
    if rule.tied:
        notes.append("all its tensors share one scale")
    if not rule.preset:
        notes.append("on request: `op_types: all`, or by name")
    if rule.weight_axis is WeightAxis.PER_TENSOR:
        notes.append("weights per tensor")
    elif rule.weight_axis is not WeightAxis.OPERATORS_OWN:
        notes.append(f"weights along axis {rule.weight_axis}")
    return "; ".join(note for note in notes if note)


def target_table(target: Target) -> Iterator[str]:
    """Formats, operators (or the target that has the same), and sources."""
    yield f"{target.summary}."
    yield ""
    yield f"- runtime: {target.runtime}"
    yield f"- activations: {target.activation}"
    yield f"- weights: {target.weight}"
    yield f"- biases: {'int32' if target.int32_bias else 'float32'}"
    absorbed = "dropped where the range of the quantizer after them does the same"
    yield f"- Relu and Clip: {absorbed if target.clamps_absorbed else 'stay in the graph'}"
    if target.dynamic:
        yield f"- the dynamic method quantizes {', '.join(sorted(target.dynamic))}; the rest is weight-only"
    else:
        yield "- the dynamic method is weight-only here"
    yield f"- weight-only: {target.stored_weights}"
    yield ""
    rows = list(operator_table(target))
    twin = next(other for other in TARGETS.values() if list(operator_table(other)) == rows)
    if twin is target:
        yield from rows
    else:
        yield f"Operators: as for [{twin.name}](#{twin.name})."
    yield ""
    yield "Sources of the rest:"
    yield ""
    yield from (f"- {source}" for source in target.sources)


def operator_table(target: Target) -> Iterator[str]:
    """The operators that share a rule in one row; then those in float, by reason."""
    yield from _head("operator", "quantizers", "notes", "source")
    rows = [(name, _OUTPUT[r.output], _notes(r), r.source) for name, r in target.operators.items()]
    for rest, members in groupby(rows, key=lambda row: row[1:]):
        yield _row(", ".join(name for name, *_ in members), *rest)
    if target.left_float:
        yield ""
        yield "In float:"
        yield ""
        for reason in dict.fromkeys(target.left_float.values()):
            yield f"- {', '.join(op for op, why in target.left_float.items() if why == reason)}: {reason}"


def paddle_operators() -> Iterator[str]:
    """Paddle's operator names and the ONNX ones that they stand for."""
    yield from _head("Paddle", "ONNX")
    for ops, members in groupby(OPERATORS.items(), key=lambda item: item[1]):
        yield _row(", ".join(f"`{name}`" for name, _ in members), ", ".join(ops))


def paddle_values() -> Iterator[str]:
    """The values of `algo` and of the quantize types."""
    yield from _head("key", "value", "recipe")
    for name, algorithm in ALGORITHMS.items():
        meaning = f"`calibration: {algorithm}`" if algorithm else "not honoured"
        yield _row("`algo`", f"`{name}`", meaning)
    for name, algorithm in ACTIVATIONS.items():
        yield _row(
            "`activation_quantize_type`",
            f"`{name}`",
            f"`calibration: {algorithm}`, `activations.symmetric: true`",
        )
    for name, granularity in GRANULARITY.items():
        yield _row("`weight_quantize_type`", f"`{name}`", f"`weights.granularity: {granularity}`")


def paddle_not_honoured() -> Iterator[str]:
    """The keys that have no place in a recipe, by reason."""
    for reason in dict.fromkeys(NOT_HONOURED.values()):
        keys = ", ".join(f"`{key}`" for key, why in NOT_HONOURED.items() if why == reason)
        yield f"- {keys}: {reason}"


def schemas() -> Iterator[str]:
    """The schema of each command's JSON document."""
    yield from _head("command", "schema")
    for command in DOCUMENTS:
        name = f"{command.replace(' ', '-')}.json"
        yield _row(
            f"[`tinyint {command}`](command-line.md#{command.split()[0]})", f"[{name}](schemas/{name})"
        )


def exit_codes() -> Iterator[str]:
    """Every exit code and its meaning."""
    yield from _head("exit code", "meaning")
    for code, meaning in MEANINGS.items():
        yield _row(str(int(code)), meaning)
    codes = ", ".join(map(str, by_signal()))
    yield _row(
        codes, "a library ended the process, or the system did (128 + the signal); the last line says which"
    )


def tables() -> dict[str, str]:
    """Every table by name."""
    made = {f"target-{name}": target_table(target) for name, target in TARGETS.items()}
    made |= {
        "schemas": schemas(),
        "exit-codes": exit_codes(),
        "paddle-operators": paddle_operators(),
        "paddle-values": paddle_values(),
        "paddle-not-honoured": paddle_not_honoured(),
    }
    return {name: "\n".join(lines) + "\n" for name, lines in made.items()}


def updated(text: str) -> str:
    """A chapter with its tables made anew."""
    made = tables()
    return _BLOCK.sub(lambda match: match[1] + made[match[2]] + match[3], text)


if __name__ == "__main__":
    for chapter in sorted(DOCS.glob("*.md")):
        chapter.write_text(updated(chapter.read_text(encoding="utf-8")), encoding="utf-8")
