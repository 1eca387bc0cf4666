# ruff: noqa: ARG005

import sys

import numpy as np
import onnx_ir as ir
import pytest

from tests.fake_runtime import FakeRuntime
from tests.models import noise, residual
from tinyint.calibrate import calibrate
from tinyint.data import open_data
from tinyint.graph.io import model_fingerprint
from tinyint.ptq import Quantized, quantize
from tinyint.recipe import Recipe
from tinyint.report import Report, Sizes, prove
from tinyint.report.prove import Samples, tensor_rows
from tinyint.runtimes import get_runtime
from tinyint.targets import get_target


@pytest.fixture(scope="module")
def quantized() -> Quantized:
    model = residual()
    data = open_data(noise(model, 4), get_runtime("onnxruntime").open(model).inputs)
    record = calibrate(model, data, fingerprint=model_fingerprint(model), threads=1)
    return quantize(model, target=get_target("x86-vnni"), recipe=Recipe(), record=lambda: record)


def proof(quantized: Quantized, held_out: bool = True, **options: object) -> Report:
    data = open_data(noise(residual(), 4, seed=1), get_runtime("onnxruntime").open(quantized.prepared).inputs)
    samples = Samples(samples=data, first=next(iter(data)), held_out=held_out)
    given = {"samples": samples, "threads": 1, "float_model": quantized.prepared, **options}
    return prove(
        quantized,
        int8_model=quantized.model,
        sizes=Sizes(baseline=4, int8=1),
        source="in.onnx",
        output=None,
        **given,  # type: ignore[arg-type]
    )


def test_the_proof_is_measured(quantized):
    report = proof(quantized, notes=["said before"])
    assert report.coverage.measured
    assert report.coverage.macs_int8 == 1.0
    assert report.verification is not None
    assert report.verification.samples == 4
    assert report.latency is not None
    assert report.latency.int8.threads == report.latency.baseline.threads == 1
    assert report.notes[0] == "said before"
    assert report.calibration_samples == 4


@pytest.mark.parametrize(("held_out", "count"), [(True, 0), (False, 1)])
def test_a_proof_on_the_calibration_samples_is_said_to_be_one(quantized, held_out, count):
    assert sum("calibration samples" in warning for warning in proof(quantized, held_out).warnings) == count


def test_slower_is_a_warning(quantized, monkeypatch):
    slow_then_quick = iter([1e-3, 5e-3] * 10_000)

    class Clock:
        now = 0.0
        ticks = 0

        def __call__(self) -> float:
            self.ticks += 1
            if self.ticks % 2 == 0:  # the end of a call
                self.now += next(slow_then_quick)
            return self.now

    from tinyint.evaluate import bench

    defaults = {**(bench.benchmark.__kwdefaults__ or {}), "clock": Clock()}
    monkeypatch.setattr(bench.benchmark, "__kwdefaults__", defaults)
    report = proof(quantized)
    assert report.latency is not None
    assert report.latency.slower
    assert any("slower than the float model: 5.00 ms against 1.00 ms" in text for text in report.warnings)


def test_a_runtime_that_is_not_installed_is_simulated_and_not_timed(quantized, monkeypatch):
    absent = FakeRuntime(name="onnxruntime")
    monkeypatch.setattr(FakeRuntime, "available", lambda self: None)
    real = get_runtime("onnxruntime")
    once = iter([absent])
    monkeypatch.setattr(sys.modules["tinyint.report.prove"], "get_runtime", lambda name: next(once, real))
    report = proof(quantized)
    assert report.latency is None
    assert report.verification is not None
    assert report.verification.runtime == "simulation"
    assert any("not installed here, so speed was not measured" in note for note in report.notes)


def test_tensor_rows_tell_scales_per_tensor_and_per_channel(quantized):
    rows = {row.name: row for row in tensor_rows(quantized.model)}
    assert rows["x"].channels is None
    assert rows["x"].dtype == "uint8"
    weight = rows["w1"]
    assert weight.channels == 8
    assert weight.constant
    assert weight.scale[0] < weight.scale[1]
    assert weight.zero_point == (0, 0)
    assert np.isfinite([row.scale for row in rows.values()]).all()


def test_open_inputs_without_samples_leave_speed_unmeasured(quantized):
    wide = quantized.prepared.clone()
    value = wide.graph.inputs[0]
    value.shape = ir.Shape(["N", 3, "H", "W"])
    report = proof(quantized, float_model=wide, samples=None)
    assert report.latency is None
    assert any("speed was not measured" in note for note in report.notes)
    assert any("no samples" in warning for warning in report.warnings)
