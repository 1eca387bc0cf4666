"""What is read of a stored report, and what is none."""

import json
import math
from dataclasses import replace

import pytest

from tests.proof.build import report
from tinyint.errors import ReportError
from tinyint.files.jsonable import to_json
from tinyint.proof.stored_report import StoredReport
from tinyint.proof.verify import OutputProof


def stored(document, path):
    path.write_text(json.dumps(document), encoding="utf-8")
    return StoredReport.read(path)


def test_a_report_is_the_same_from_memory_and_from_its_file(tmp_path):
    (tmp_path / "r.json").write_text(to_json(report().to_json()), encoding="utf-8")
    assert StoredReport.read(tmp_path / "r.json") == (
        str(tmp_path / "r.json"),
        StoredReport.read(report())[1],
    )
    assert StoredReport.read(report())[0] == "out.onnx"


def test_figures_of_accuracy_and_their_units():
    proof = report().verification
    outputs = {
        "y": OutputProof(sqnr_db=math.inf, constant_db=0.0, top1_agreement=0.9, classified=20),
        "n": OutputProof(equal=0.75),
        "boxes": OutputProof(rows_matched=0.5),
    }
    levels = {"y": math.inf, "z": 20.0}
    made = report(verification=replace(proof, outputs=outputs, output_sqnr_db=levels))
    assert StoredReport.read(made)[1].accuracies() == {
        ("top1_agreement", "y"): (0.9, "points"),
        ("equal", "n"): (0.75, "points"),
        ("rows_matched", "boxes"): (0.5, "points"),
        ("sqnr", "y"): (math.inf, "dB"),
        ("sqnr", "z"): (20.0, "dB"),
    }


@pytest.mark.parametrize(
    ("metric", "found"),
    [("f1", {("f1", None): (0.915, "points")}), ("own:loss", {("own:loss", None): (91.5, "")}), ("sqnr", {})],
)
def test_metrics_on_labelled_data_come_first(tmp_path, metric, found):
    document = report(verification=None).to_json()
    document |= {"accuracy": {"float": {"top1": 1.0}, "int8": {"top1": 0.95, "top5": None}}}
    document |= {"budget": {"metric": metric, "value": 91.5}}
    assert stored(document, tmp_path / "r.json")[1].accuracies() == {("top1", None): (0.95, "points")} | found


def test_without_a_proof_there_are_none():
    assert StoredReport.read(report(verification=None))[1].accuracies() == {}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x08\x09onnx", "not JSON"),
        (b"[" * 5000, "not JSON"),
        (b"[1]", r"no report of tinyint: got \[1\]; give the file NAME.report.json"),
        (b'{"model": "m", "task": "t"}', "got a mapping with the keys 'model', 'task'"),
        (b"{}", "no keys"),
    ],
)
def test_what_is_no_report_is_said(tmp_path, content, told):
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(ReportError, match=told):
        StoredReport.read(tmp_path / "r.json")


@pytest.mark.parametrize("path", ["nothing.json", "."])
def test_a_place_without_a_report_is_said(tmp_path, path):
    with pytest.raises(ReportError, match="cannot read the report"):
        StoredReport.read(tmp_path / path)


def test_a_report_of_another_form_is_said(tmp_path):
    document = report().to_json() | {"form": 7, "tinyint": "9.9.9"}
    with pytest.raises(ReportError, match=r"of the form 7, by tinyint '9.9.9'; tinyint .* reads the form 1"):
        stored(document, tmp_path / "r.json")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.pop("host"), "the key host is missing"),
        (
            lambda d: d["coverage"].update(macs_int8="all"),
            r"coverage.macs_int8: got 'all', expected a valid number",
        ),
        (lambda d: d["latency_ms"].update(int8=-1.0), "latency_ms.int8: got -1.0"),
        (lambda d: d["verdict"].update(accuracy="fine"), "verdict.accuracy: got 'fine', expected 'good'"),
    ],
)
def test_a_damaged_report_is_named_by_its_key(tmp_path, change, told):
    document = report().to_json()
    change(document)
    with pytest.raises(ReportError, match=f"damaged report: {told}"):
        stored(document, tmp_path / "r.json")
