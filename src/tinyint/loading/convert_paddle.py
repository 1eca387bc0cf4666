"""Conversion of Paddle to ONNX in a separate process: `python -m tinyint.loading.convert_paddle`.

Its arguments are MODEL PARAMETERS OUTPUT. The converter aborts its process at an unknown operator, without naming it.
So the operators that resemble none in its list are printed first, on a line that begins with UNKNOWN. (The list has old
names, such as elementwise_add for add, so names are not compared for equality.)
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tinyint.loading.paddle_quantizers import to_float

__all__ = ["OPSET", "SCALES", "UNKNOWN", "single_precision", "unlike"]

OPSET = 17
SCALES = "scales.json"
UNKNOWN = "tinyint: not among the converter's operators: "

_NOT_CONVERTED = {"data", "feed", "fetch"}


def unlike(names: set[str], known: list[str]) -> list[str]:
    """Names that resemble none of the `known` ones.

    A name resembles a known one if one begins with the other, or if the known one ends with it.
    """

    def like(name: str, row: str) -> bool:
        return row.startswith(name) or row.endswith("_" + name) or name.startswith(row)

    parts = {row.removeprefix("elementwise_") for row in known} | set(known)
    return sorted(name for name in names if not any(like(name.rstrip("_"), row) for row in parts))


def _names(block: Any) -> Iterator[str]:
    for operator in block.ops:
        yield operator.name()
        for inner in operator.blocks():
            yield from _names(inner)


def single_precision(program: Any) -> None:
    """Converts the factors of interpolations to float32, in place.

    `program` is the content of a .json file. paddlepaddle 3.3 writes them as float64, but paddle2onnx 2.0 only reads
    float32.
    """
    if isinstance(program, list):
        for part in program:
            single_precision(part)
    elif isinstance(program, dict):
        if str(program.get("#", "")).endswith("_interp"):
            for attribute in program.get("A", ()):
                _convert_factors(attribute)
        for part in program.values():
            single_precision(part)


def _convert_factors(attribute: dict[str, Any]) -> None:
    """Converts the attribute `scale` to float32, in place; others stay."""
    values = attribute.get("AT", {}).get("D")
    if attribute.get("N") == "scale" and isinstance(values, list):
        attribute["AT"]["D"] = [value | {"#": value["#"].replace("a_f64", "a_f32")} for value in values]


def _translated(model: Path, parameters: Path, directory: Path) -> tuple[Path, Path]:
    """Files of a program of Paddle 2 or before in Paddle 3's form.

    `parameters` is one file, or a directory with a file per weight.
    """
    import paddle
    from paddle2onnx.convert import load_parameter, save_program

    executor = paddle.static.Executor(paddle.CPUPlace())
    names = {
        "model_filename": model.name,
        "params_filename": None if parameters.is_dir() else parameters.name,
    }
    with paddle.pir_utils.OldIrGuard():
        old, *_ = paddle.static.load_inference_model(str(model.parent), executor, **names)
        scales = to_float(old, *_variables(old))
    (directory / SCALES).write_text(json.dumps(scales), encoding="utf-8")
    program = paddle.pir.translate_to_pir(old.desc)
    _say_unknown(program)
    load_parameter(program)
    save_program(program, str(directory / "translated"))
    return directory / "translated.json", directory / "translated.pdiparams"


def _variables(program: Any) -> tuple[Callable[[str], Any], Callable[[str, Any], None]]:
    """Functions that read a variable of the program, and replace one by float32."""
    import paddle

    scope, block = paddle.static.global_scope(), program.global_block()

    def read(name: str) -> Any:
        return np.array(scope.find_var(name).get_tensor()).astype(np.float32)

    def write(name: str, value: Any) -> None:
        scope.find_var(name).get_tensor().set(value.astype(np.float32), paddle.CPUPlace())
        block.var(name).desc.set_dtype(paddle.base.core.VarDesc.VarType.FP32)

    return read, write


def _say_unknown(program: Any) -> None:
    """Prints the operators that the converter does not know."""
    from paddle2onnx import paddle2onnx_cpp2py_export as converter

    names = {name.removeprefix("pd_op.") for name in _names(program.global_block()) if "pd_op." in name}
    unknown = unlike(names - _NOT_CONVERTED, converter.get_all_supported_operators_pir())
    sys.stdout.write(f"{UNKNOWN}{', '.join(unknown)}\n")
    sys.stdout.flush()


def _convert(model: Path, parameters: Path, output: Path) -> None:
    import paddle
    import paddle2onnx

    if model.suffix == ".json":
        layer = paddle.jit.load(str(model.with_suffix("")))
        loaded = layer.program()  # must live as long as its block is used
        _say_unknown(loaded)
        if any("quantize" in name for name in _names(loaded.global_block())):
            raise ValueError(
                "it is quantized, which is read of NAME.pdmodel and __model__ only; give the float model"
            )
    else:
        model, parameters = _translated(model, parameters, output.parent)
    program = json.loads(model.read_text(encoding="utf-8"))
    single_precision(program)
    readable = output.with_name("readable.json")
    readable.write_text(json.dumps(program), encoding="utf-8")
    # Its default optimizer, polygraphy, installs packages from the network.
    paddle2onnx.export(str(readable), str(parameters), str(output), opset_version=OPSET, optimize_tool="none")


if __name__ == "__main__":
    _convert(*map(Path, sys.argv[1:]))
