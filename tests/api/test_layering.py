"""The layers of a quantization, in its report and its files."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tinyint
from tests.models import noise, residual
from tests.proof.test_verdict import latency
from tinyint.api.layering import Kept, _calls
from tinyint.data import Sample
from tinyint.diagnosis.layers import MOST_SAMPLES
from tinyint.proof.prove import ProofSamples


def arrays(count: int) -> list[np.ndarray]:
    return [next(iter(sample.values())) for sample in noise(residual(), count)]


def test_the_first_samples_are_kept_as_they_pass():
    made = [Sample({"x": np.zeros(1, np.float32)}, name=str(i)) for i in range(MOST_SAMPLES + 3)]
    kept = Kept.of((ProofSamples(samples=iter(made), first=made[0], held_out=True), None))  # type: ignore[arg-type]
    assert kept.samples == []
    assert kept.proof is not None
    assert list(kept.proof.samples) == made
    assert kept.samples == made[:MOST_SAMPLES]
    assert Kept.of(None).proof is None


@pytest.mark.parametrize(("slow", "calls"), [(0.1, 15), (100.0, 10), (5000.0, 3)])
def test_a_profile_takes_about_a_second(slow, calls):
    assert _calls(latency(slow, 0.05)) == calls


def test_report_and_files_hold_the_same_layers(tmp_path):
    output = tmp_path / "net.onnx"
    samples = tinyint.Samples(arrays(10), limit=4)
    report = tinyint.quantize(residual(), samples, output=output, run=tinyint.Run(threads=1)).report
    assert report.layers is not None
    assert report.layers.samples == MOST_SAMPLES
    assert report.layers.runtime == "onnxruntime"
    assert report.seconds["layers"] > 0
    written = json.loads((tmp_path / "net.report.json").read_text())
    assert written["layers"] == report.to_json()["layers"]
    assert [row["name"] for row in written["layers"]["rows"]] == [row.name for row in report.layers.rows]
    assert '"conv1"' in (tmp_path / "net.report.html").read_text()


def test_without_a_proof_nothing_is_run_for_them(tmp_path):
    run = tinyint.Run(threads=1, verify=False)
    report = tinyint.quantize(residual(), arrays(4), output=tmp_path / "net.onnx", run=run).report
    assert report.layers is not None
    assert (report.layers.samples, report.layers.runtime) == (0, "")
    assert tinyint.quantize(residual(), arrays(4), run=run).report.layers is None
