"""The other tools, each with its best options for this kind of processor. Each writes a quantized model file."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from models import Feeds

logging.disable(logging.WARNING)
warnings.simplefilter("ignore")


def onnxruntime_static(model: Path, output: Path, samples: list[Feeds], method: str = "MinMax") -> None:
    """onnxruntime.quantization: uint8 activations, int8 weights per channel, Q/DQ, after its own preprocessing."""
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.samples: Iterator[Feeds] = iter(samples)

        def get_next(self) -> Feeds | None:
            return next(self.samples, None)

    with tempfile.TemporaryDirectory() as folder:
        prepared = os.path.join(folder, "prepared.onnx")
        quant_pre_process(str(model), prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            str(output),
            Reader(),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod[method],
        )


def nncf_openvino(model: Path, output: Path, samples: list[Feeds], *, transformer: bool = False) -> None:
    """NNCF on OpenVINO's own format, with its mixed preset and, for a transformer, its transformer scheme."""
    import nncf
    import openvino

    nncf.set_log_level(logging.ERROR)
    network = openvino.Core().read_model(model)
    quantized = nncf.quantize(
        network,
        nncf.Dataset(samples),
        subset_size=len(samples),
        preset=nncf.QuantizationPreset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER if transformer else None,
    )
    openvino.save_model(quantized, output, compress_to_fp16=False)
