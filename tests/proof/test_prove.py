# ruff: noqa: ARG005

import sys
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest

from tests.fake_runtime import FakeRuntime
from tests.models import noise, residual
from tests.processor import ORT_TARGET
from tinyint.data import open_data
from tinyint.errors import ModelError
from tinyint.graph.io import model_fingerprint
from tinyint.proof import Report, Sizes, prove
from tinyint.proof.prove import ProofSamples, tensor_rows
from tinyint.proof.race import race
from tinyint.quantization.calibration import calibrate
from tinyint.quantization.ptq import Quantized, quantize_graph
from tinyint.quantization.recipe import Recipe
from tinyint.report.words import headline
from tinyint.runtimes import get_runtime
from tinyint.runtimes.host import host
from tinyint.targets import get_target


@pytest.fixture(scope="module")
def quantized() -> Quantized:
    model = residual()
    data = open_data(noise(model, 4), get_runtime("onnxruntime").open(model).inputs)
    record = calibrate(model, data, fingerprint=model_fingerprint(model), threads=1)
    return quantize_graph(model, target=get_target(ORT_TARGET), recipe=Recipe(), record=record)


def proof(quantized: Quantized, held_out: bool = True, **options: object) -> Report:
    data = open_data(noise(residual(), 4, seed=1), get_runtime("onnxruntime").open(quantized.prepared).inputs)
    samples = ProofSamples(samples=data, first=next(iter(data)), held_out=held_out)
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


class Clock:
    """Every other look at it is the end of a call, which took the next of the durations, in milliseconds."""

    def __init__(self, milliseconds: Iterable[float]) -> None:
        self.durations = iter(milliseconds)
        self.now = 0.0
        self.ticks = 0

    def __call__(self) -> float:
        self.ticks += 1
        if self.ticks % 2 == 0:
            self.now += next(self.durations) / 1e3
        return self.now

    @property
    def races(self) -> float:
        return self.ticks / 2 / (2 * CALLS)


CALLS = 200  # of each model, as small as this one
CALM_SLOW = [1.0, 5.0] * CALLS  # float, int8, float, …
CALM_QUICK = [5.0, 1.0] * CALLS
BUSY_SLOW = [0.5, 2.5, 2.0, 10.0] * (CALLS // 2)
BUSY_QUICK = [2.5, 0.5, 10.0, 2.0] * (CALLS // 2)


def test_slower_is_a_warning(quantized):
    clock = Clock(CALM_SLOW)
    report = proof(quantized, clock=clock)
    assert report.verdict.speed == "slower"
    assert clock.races == 1
    assert any("slower than the float model: 5.00 ms against 1.00 ms" in text for text in report.warnings)
    assert not any("busy" in note for note in report.notes)


@pytest.mark.parametrize(
    ("durations", "races", "slower", "busy"),
    [
        pytest.param(BUSY_SLOW + CALM_QUICK, 2, False, False, id="once more"),
        pytest.param(BUSY_SLOW + BUSY_SLOW + CALM_SLOW, 3, True, False, id="twice more"),
        pytest.param(BUSY_SLOW * 3, 3, True, True, id="busy all the time"),
        pytest.param(BUSY_QUICK, 1, False, True, id="faster all the same"),
    ],
)
def test_a_busy_machine_is_asked_again_before_int8_is_called_slower(
    quantized, durations, races, slower, busy
):
    clock = Clock(durations)
    report = proof(quantized, clock=clock)
    assert clock.races == races
    assert any("slower than the float model" in text for text in report.warnings) == slower
    assert any("the machine was busy" in note for note in report.notes) == busy


def test_another_processor_is_not_called_slow(quantized):
    other = "arm64" if host().is_x86 else "x86-vnni"
    report = proof(replace(quantized, target=get_target(other)), clock=Clock(CALM_SLOW))
    assert report.latency is not None
    assert not report.latency.native
    assert not any("slower" in text for text in report.warnings)
    assert any(f"of this processor, not of one that {other} is for" in note for note in report.notes)
    assert f"Its speed on {other} cannot be measured" in headline(report)


@pytest.mark.parametrize(("loss", "lsb", "warned"), [(0.9, 3.0, False), (1.1, 3.0, True), (1.3, 0.9, False)])
def test_a_runtime_that_falls_behind_its_simulation_is_a_warning(quantized, monkeypatch, loss, lsb, warned):
    plain = proof(quantized).verification
    assert plain is not None
    assert plain.sqnr_db == pytest.approx(plain.simulated_sqnr_db, abs=0.5)
    output = plain.outputs["y"]
    assert output.simulated_sqnr_db is not None
    worse = replace(
        plain, outputs={"y": replace(output, sqnr_db=output.simulated_sqnr_db - loss, lsb_max=lsb)}
    )
    monkeypatch.setattr(sys.modules["tinyint.proof.prove"], "verify", lambda *args, **options: worse)
    found = [text for text in proof(quantized).warnings if "may compute something else" in text]
    assert len(found) == warned
    assert (proof(quantized).verdict.accuracy == "broken") == warned


def test_without_verification_the_plan_stands_in(quantized):
    report = proof(quantized, verified=False)
    assert not report.coverage.measured
    assert report.coverage.macs_int8 == 1.0
    assert report.coverage.nodes_int8 == proof(quantized).coverage.nodes_int8
    assert report.notes == ("not verified, as asked: coverage is what was planned, not what a runtime did",)


def test_a_runtime_that_is_not_installed_is_simulated_and_not_timed(quantized, monkeypatch):
    absent = FakeRuntime(name="onnxruntime")
    monkeypatch.setattr(FakeRuntime, "available", lambda self: None)
    real = get_runtime("onnxruntime")
    once = iter([absent])
    monkeypatch.setattr(sys.modules["tinyint.proof.prove"], "get_runtime", lambda name: next(once, real))
    report = proof(quantized)
    assert report.latency is None
    assert report.verification is not None
    assert report.verification.runtime == "simulation"
    assert any("does not run here, so speed was not measured" in note for note in report.notes)


class Picky:
    """ONNX Runtime, but for one model that it does not read."""

    name = "picky"

    def __init__(self, unread: object) -> None:
        self.unread = unread

    def open(self, model: object, **options: object) -> object:
        if model is self.unread:
            raise ModelError("what is this?")
        return get_runtime("onnxruntime").open(model, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("unread", ["float", "int8"])
def test_the_prepared_graph_is_timed_where_the_runtime_does_not_read_the_float_file(quantized, unread):
    given = quantized.prepared.clone()
    models = (given, quantized.model)
    common = {"prepared": quantized.prepared, "threads": 1, "feeds": noise(given, 1)[0], "native": True}
    if unread == "int8":
        with pytest.raises(ModelError, match="what is this"):
            race(models, Picky(quantized.model), **common)
    else:
        assert race(models, Picky(given), **common).prepared
        assert not race(models, get_runtime("onnxruntime"), **common).prepared


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
