from __future__ import annotations

import pytest

from tinyint.errors import DependencyError
from tinyint.runtimes.tensorrt import RUNTIME, build_commands


def test_engines_are_built_elsewhere() -> None:
    told = r"model\.onnx: .*trtexec --int8 --fp16 --onnx=model\.onnx .*trtexec --onnx=model\.onnx --saveEngine=model"
    for call in (RUNTIME.open, RUNTIME.executed):
        with pytest.raises(DependencyError, match=told):
            call("model.onnx")
    assert RUNTIME.available() is None


def test_tensorrt_11_is_given_no_flags_of_precision() -> None:
    assert build_commands("my nets/a.onnx", "bfloat16") == {
        "TensorRT 10": "trtexec --int8 --bf16 --onnx='my nets/a.onnx' --saveEngine='my nets/a.engine'",
        "TensorRT 11": "trtexec --onnx='my nets/a.onnx' --saveEngine='my nets/a.engine'",
    }
