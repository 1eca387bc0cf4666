"""The public names."""

import inspect
import subprocess
import sys

import pytest

import tinyint
from tinyint.errors import DependencyError


def test_importing_the_package_loads_nothing_heavy():
    heavy = [
        "torch",
        "numpy",
        "onnx",
        "onnx_ir",
        "onnxruntime",
        "openvino",
        "typer",
        "rich",
        "pydantic",
        "jinja2",
    ]
    code = f"import sys, tinyint; print([m for m in {heavy} if m in sys.modules], 'quantize' in dir(tinyint))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[] True"


def test_every_public_name_is_there_and_sorted():
    assert list(tinyint.__all__) == sorted(tinyint.__all__)
    for name in tinyint.__all__:
        assert getattr(tinyint, name) is not None
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = tinyint.nothing_such


VERBS = [
    "advise",
    "benchmark",
    "calibrate",
    "check",
    "compare",
    "evaluate",
    "export",
    "inspect",
    "open",
    "predict",
    "quantize",
]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_has_no_more_than_seven_parameters(verb):
    assert len(inspect.signature(getattr(tinyint, verb)).parameters) <= 7


def test_open_takes_the_runtime_that_the_model_is_for(model, samples):
    made = tinyint.quantize(model, samples, target="openvino", run=tinyint.Run(verify=False)).model
    assert tinyint.open(made).runtime == "openvino"
    assert tinyint.open(made, "onnxruntime").runtime == "onnxruntime"
    assert tinyint.open(model).runtime == "onnxruntime"
    with pytest.raises(DependencyError, match="onnxruntime"):
        tinyint.open(model, "onnxruntme")


def test_benchmark_measures_every_model_on_every_runtime(model):
    timings = tinyint.benchmark(
        [model],
        runtimes=["onnxruntime", "openvino"],
        measure=tinyint.Measurement(iterations=3, warmup=1),
        run=tinyint.Run(threads=1),
    )
    assert [timing.runtime for timing in timings] == ["onnxruntime", "openvino"]
    with pytest.raises(DependencyError, match="does not run TensorRT engines itself") as caught:
        tinyint.benchmark([model], runtimes=["tensorrt"])
    assert "pip install" not in str(caught.value)
