"""Which reports can be compared, and which differences are only told."""

from dataclasses import replace

import pytest

from tests.proof.build import report
from tinyint.errors import ReportError
from tinyint.proof.comparable import differences, notes
from tinyint.proof.stored_report import StoredReport


def told(old, new, *, timed=True, allowed=()):
    named = [(name, StoredReport.read(each)[1]) for name, each in (("old.json", old), ("new.json", new))]
    return list(differences(*named, timed=timed, allowed=allowed))


def test_reports_of_the_same_circumstances_are_compared_in_silence():
    assert told(report(), report(output="elsewhere.onnx")) == []


def test_the_model_is_known_by_what_is_in_it():
    old = report(model_fingerprint="a" * 64)
    assert told(old, report(model_fingerprint="a" * 64, source="elsewhere/in.onnx")) == []
    with pytest.raises(
        ReportError, match=r"different models: in.onnx \(a{12}\) in old.json, in.onnx \(b{12}\)"
    ):
        told(old, report(model_fingerprint="b" * 64))
    with pytest.raises(ReportError, match=r"different models: in.onnx in old.json, other.onnx in new.json"):
        told(report(), report(model_fingerprint="b" * 64, source="other.onnx"))


SPEED = [
    (
        "processor",
        {"host": "another, 4 cores"},
        "a processor, 2 cores in old.json, another, 4 cores in new.json",
    ),
    ("runtime", {"runtime_version": "1.99"}, "onnxruntime 1.31.1 float32 on 1 thread in old.json"),
    ("runtime", {"threads": 2}, "onnxruntime 1.31.1 float32 on 2 threads in new.json"),
]


@pytest.mark.parametrize(("kind", "change", "seen"), SPEED)
def test_what_forbids_comparing_timings_is_a_note_where_nothing_is_timed(kind, change, seen):
    with pytest.raises(
        ReportError, match=f"timings cannot be compared: .*leave out --max-slowdown.*{kind}"
    ) as caught:
        told(report(), report(**change))
    assert seen in str(caught.value)
    (note,) = told(report(), report(**change), timed=False)
    assert seen in note
    (note,) = told(report(), report(**change), allowed=[kind])
    assert "compared nevertheless" in note


def test_another_target_is_refused_whatever_is_asked():
    with pytest.raises(ReportError, match=r"different targets: x86-vnni in old.json, arm64 in new.json"):
        told(report(), report(target="arm64"), timed=False)
    assert len(told(report(), report(target="arm64"), timed=False, allowed=["target"])) == 1


def test_the_latency_of_another_processor_than_the_target_s_is_refused():
    made = report()
    elsewhere = replace(made, latency=replace(made.latency, native=False))
    with pytest.raises(
        ReportError, match=r"latency in new.json was not measured on a processor that its target"
    ):
        told(made, elsewhere)
    assert told(made, elsewhere, timed=False) == told(made, elsewhere, allowed=["processor"]) == []


def test_other_differences_are_notes():
    made = report()
    other = replace(
        made,
        version="0.2.0",
        coverage=replace(made.coverage, measured=False),
        verification=replace(made.verification, samples=8, held_out=False),
    )
    found = list(notes(StoredReport.read(made)[1], StoredReport.read(other)[1]))
    assert [note.split()[0] for note in found] == ["by", "int8", "the", "the"]
    assert "read from the runtime in the old report, and planned in the new one" in found[1]
    assert "on 16 and on 8 samples" in found[2]
    assert "the samples of the new report had a part in calibration" in found[3]
