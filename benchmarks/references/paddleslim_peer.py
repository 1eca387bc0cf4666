"""What PaddleSlim makes of a reference classifier: its logits in int8, to be scored beside those of the other tools.

    python -m venv paddle
    paddle/bin/pip install paddlepaddle==3.3.1 paddleslim==2.6.0 "numpy<2" onnx six requests decorator setuptools
    paddle/bin/python benchmarks/references/paddleslim_peer.py MODEL CALIBRATION TEST FOLDER [ALGORITHM...]

In an environment of its own, as PaddleSlim pins an OpenCV that needs NumPy 1. MODEL is an ONNX file with one input,
CALIBRATION and TEST are .npy files of all its samples, preprocessed. FOLDER gets `float.npy`, the logits of the network
rebuilt in Paddle, which must be those of the ONNX file, and for each algorithm its Paddle model and `ALGORITHM.npy`,
the logits in the order of TEST. Paddle Inference runs all of them with oneDNN, the quantized ones on its int8 kernels.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

os.environ["FLAGS_enable_pir_api"] = "0"  # noqa: SIM112  PaddleSlim reads only the older programs

import paddle
import paddle.nn.functional as functional
from paddle.inference import Config, create_predictor

logging.disable(logging.WARNING)
warnings.simplefilter("ignore")

# All that quantize: min_max returns the float model.
ALGORITHMS = ("hist", "KL", "mse", "avg", "emd", "abs_max")
BATCH = 100
MODEL, PARAMETERS = "model.pdmodel", "model.pdiparams"

Array = npt.NDArray[np.float32]


class Samples:
    """All samples in one batch: from several, mse and emd keep the scale of the one that it fits best."""

    def __init__(self, name: str, samples: Array) -> None:
        self.name = name
        self.samples = samples

    def __len__(self) -> int:
        return 1

    def __call__(self) -> Iterator[dict[str, Array]]:
        yield {self.name: self.samples}


def convert(source: Path, folder: Path) -> str:
    """Rebuilds an ONNX classifier node by node, saves it as a Paddle inference model, and returns its input's name."""
    graph = onnx.load(source).graph
    values: dict[str, Any] = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    [entry], [result] = graph.input, graph.output
    program, startup = paddle.static.Program(), paddle.static.Program()
    scope = paddle.static.Scope()
    with paddle.static.scope_guard(scope), paddle.static.program_guard(program, startup):
        shape = [dim.dim_value or -1 for dim in entry.type.tensor_type.shape.dim]
        values[entry.name] = paddle.static.data(entry.name, shape, "float32")
        for node in graph.node:
            attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
            [output] = node.output
            values[output] = _layer(node.op_type, [values[name] for name in node.input], attributes)
        executor = paddle.static.Executor(paddle.CPUPlace())
        executor.run(startup)
        ends = [values[entry.name]], [values[result.name]]
        paddle.static.save_inference_model(str(folder / "model"), *ends, executor, program=program)
    return str(entry.name)


def _layer(kind: str, inputs: list[Any], attributes: dict[str, Any]) -> Any:
    """What the node computes. Among the inputs, constants are arrays and the rest variables of the program."""
    match kind:
        case "Constant":
            return onnx.numpy_helper.to_array(attributes["value"])
        case "Identity":
            return inputs[0]
        case "Conv":
            assert attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
            # functional.conv2d adds the bias by operators that the int8 kernels do not take in.
            weight, *bias = inputs[1:]
            return paddle.static.nn.conv2d(
                inputs[0],
                weight.shape[0],
                list(weight.shape[2:]),
                stride=attributes.get("strides", [1, 1]),
                padding=_padding(attributes),
                dilation=attributes.get("dilations", [1, 1]),
                groups=attributes.get("group", 1),
                param_attr=_values(weight),
                bias_attr=_values(bias[0]) if bias else False,
            )
        case "BatchNormalization":
            scale, bias, mean, variance = map(_parameter, inputs[1:])
            epsilon = attributes.get("epsilon", 1e-5)
            return functional.batch_norm(inputs[0], mean, variance, scale, bias, epsilon=epsilon)
        case "Relu":
            return functional.relu(inputs[0])
        case "Clip":
            assert (inputs[1], inputs[2]) == (0, 6)
            return functional.relu6(inputs[0])
        case "Add":
            return paddle.add(*inputs)
        case "Concat":
            return paddle.concat(inputs, attributes["axis"])
        case "MaxPool":
            assert not attributes.get("ceil_mode")
            assert set(attributes.get("dilations", [1])) == {1}
            strides = attributes.get("strides", [1, 1])
            return functional.max_pool2d(inputs[0], attributes["kernel_shape"], strides, _padding(attributes))
        case "GlobalAveragePool":
            return functional.adaptive_avg_pool2d(inputs[0], 1)
        case "Flatten":
            return paddle.flatten(inputs[0], attributes.get("axis", 1))
        case "Gemm":
            assert (attributes.get("alpha", 1), attributes.get("beta", 1), attributes.get("transA", 0)) == (
                1,
                1,
                0,
            )
            weight = inputs[1].T if attributes.get("transB") else inputs[1]
            return functional.linear(inputs[0], _parameter(weight), *map(_parameter, inputs[2:]))
    raise SystemExit(f"{kind} has no counterpart here yet")


def _padding(attributes: dict[str, Any]) -> list[int]:
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    return [top, bottom, left, right]


def _parameter(array: Array) -> Any:
    return paddle.create_parameter(list(array.shape), "float32", attr=_values(array))


def _values(array: Array) -> Any:
    return paddle.ParamAttr(initializer=paddle.nn.initializer.Assign(np.ascontiguousarray(array)))


def quantize(model: Path, output: Path, samples: Samples, algorithm: str) -> None:
    """`paddleslim.quant.quant_post_static`: symmetric int8, weights per channel, batch normalization folded before."""
    from paddleslim.quant import quant_post_static  # type: ignore[import-not-found]

    scope = paddle.static.Scope()
    with paddle.static.scope_guard(scope):
        quant_post_static(
            paddle.static.Executor(paddle.CPUPlace()),
            str(model),
            str(output),
            data_loader=samples,
            model_filename=MODEL,
            params_filename=PARAMETERS,
            save_model_filename=MODEL,
            save_params_filename=PARAMETERS,
            scope=scope,
            algo=algorithm,
            optimize_model=True,
        )


def predict(model: Path, samples: Array, *, int8: bool) -> Array:
    config = Config(str(model / MODEL), str(model / PARAMETERS))
    config.disable_glog_info()
    config.disable_gpu()
    config.set_cpu_math_library_num_threads(1)
    config.enable_onednn()
    if int8:
        config.enable_onednn_int8()
        config.delete_pass("repeated_fc_relu_fuse_pass")  # keeps consecutive linear layers in float
        assert config.onednn_int8_enabled()
    predictor = create_predictor(config)
    [entry], [result] = predictor.get_input_names(), predictor.get_output_names()
    logits = []
    for start in range(0, len(samples), BATCH):
        predictor.get_input_handle(entry).copy_from_cpu(samples[start : start + BATCH])
        predictor.run()
        logits.append(predictor.get_output_handle(result).copy_to_cpu())
    return np.concatenate(logits)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("calibration", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("algorithms", nargs="*", metavar="ALGORITHM", help=", ".join(ALGORITHMS))
    arguments = parser.parse_args()
    if unknown := set(arguments.algorithms) - set(ALGORITHMS):
        parser.error(f"no such algorithm: {', '.join(sorted(unknown))}")
    paddle.enable_static()
    folder, test = arguments.folder, np.load(arguments.test)
    samples = Samples(convert(arguments.model, folder / "float"), np.load(arguments.calibration))
    logits = predict(folder / "float", test, int8=False)
    np.save(folder / "float.npy", logits)
    decided = logits.argmax(1)
    for algorithm in arguments.algorithms or ALGORITHMS:
        start = time.perf_counter()
        quantize(folder / "float", folder / algorithm, samples, algorithm)
        took = time.perf_counter() - start
        logits = predict(folder / algorithm, test, int8=True)
        np.save(folder / f"{algorithm}.npy", logits)
        changed = int((logits.argmax(1) != decided).sum())
        print(
            f"{algorithm}: quantized in {took:.0f} s, {changed} of {len(test)} decided otherwise than in float"
        )


if __name__ == "__main__":
    main()
