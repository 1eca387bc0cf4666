"""`python -m tinyint.loading.convert_paddle MODEL PARAMETERS OUTPUT`: Paddle to ONNX, in a process of its own.

The converter aborts its process at an operator that it does not know, and it does not say which one. So those that
its list has no name like are written first, on a line that begins with UNKNOWN. (The list is of old names, such as
elementwise_add for add, hence the likeness.)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

__all__ = ["OPSET", "UNKNOWN", "unlike"]

OPSET = 17
UNKNOWN = "tinyint: not among the converter's operators: "

_NOT_CONVERTED = {"data", "feed", "fetch"}


def unlike(names: set[str], known: list[str]) -> list[str]:
    """Those of `names` that no known one is equal to, begins with, ends with, or begins."""

    def like(name: str, row: str) -> bool:
        return row.startswith(name) or row.endswith("_" + name) or name.startswith(row)

    parts = {row.removeprefix("elementwise_") for row in known} | set(known)
    return sorted(name for name in names if not any(like(name.rstrip("_"), row) for row in parts))


def _names(block: Any) -> Iterator[str]:
    for operator in block.ops:
        yield operator.name()
        for inner in operator.blocks():
            yield from _names(inner)


def _operators(model: str) -> set[str]:
    """The names of the operators in a program. What holds it must live as long as it is looked at."""
    import paddle

    stem, _, suffix = model.rpartition(".")
    if suffix == "json":
        layer = paddle.jit.load(stem)
        program = layer.program()
        return set(_names(program.global_block()))
    paddle.enable_static()
    with paddle.pir_utils.OldIrGuard():
        old, *_ = paddle.static.load_inference_model(stem, paddle.static.Executor(paddle.CPUPlace()))
        program = paddle.pir.translate_to_pir(old.desc)
        names = set(_names(program.global_block()))
    paddle.disable_static()
    return names


def _convert(model: str, parameters: str, output: str) -> None:
    import paddle2onnx
    from paddle2onnx import paddle2onnx_cpp2py_export as converter

    names = {name.removeprefix("pd_op.") for name in _operators(model) if "pd_op." in name}
    unknown = unlike(names - _NOT_CONVERTED, converter.get_all_supported_operators_pir())
    sys.stdout.write(f"{UNKNOWN}{', '.join(unknown)}\n")
    sys.stdout.flush()
    # Its default optimizer, polygraphy, installs packages from the network.
    paddle2onnx.export(model, parameters, output, opset_version=OPSET, optimize_tool="none")


if __name__ == "__main__":
    _convert(*sys.argv[1:])
