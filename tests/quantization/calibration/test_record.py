import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinyint.data.stored import StreamTable
from tinyint.errors import RecordError
from tinyint.numbers.observers import Summary
from tinyint.quantization.calibration import CalibrationRecord


def record() -> CalibrationRecord:
    summary = Summary()
    summary.update(-1.0, 2.5, np.float32([-1.0, 0.1, 2.5]), b"k" * 16)
    made = CalibrationRecord("f" * 64, {"tensor": summary})
    made.count(b"k" * 16)
    return made


def tensors(*lies: dict[str, object]) -> Callable[[dict], None]:
    """A change of the header: one tensor for each of the lies about it."""

    def change(arrays):
        header = json.loads(arrays["header"].tobytes())
        (told,) = header["tensors"]
        header["tensors"] = [told | lie for lie in lies]
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        for name in ("counts", "tail_keys", "tail_extrema"):
            arrays[name] = np.concatenate([arrays[name]] * len(lies))

    return change


def cell(name: str, place: tuple[int, ...], value: float) -> Callable[[dict], None]:
    def change(arrays):
        arrays[name] = np.array(arrays[name])
        arrays[name][place] = value

    return change


LIES = {
    "extrema inside out": tensors({"lo": 3.0}),
    "an infinite minimum": tensors({"lo": -np.inf}),
    "a maximum that is no float32": tensors({"hi": 2.6}),
    "values beyond the maximum": tensors({"hi": 2.25}),
    "fewer samples": tensors({"samples": 0}),
    "negative samples": tensors({"samples": -1}),
    "more samples than the record": tensors({"samples": 2}),
    "fewer elements than counted": tensors({"elements": 2}),
    "fewer infinities than none": tensors({"infinite": -1}),
    "another sum": tensors({"sum_hi": "1"}),
    "no exponent": tensors({"exponent": None}),
    "an empty exponent": tensors({"exponent": ""}),
    "wide bins": tensors({"exponent": 2000}),
    "other bins": tensors({"exponent": -9}),
    "no samples kept": tensors({"tail": 0}),
    "one name twice": tensors({}, {}),
    "no name": tensors({"name": 5}),
    "negative counts": cell("counts", (0, 4096), -1),
    "more counts than elements": cell("counts", (0, 4096), 7),
    "counts below the minimum": cell("counts", (0, 0), 1),
    "a sample outside the extrema": cell("tail_extrema", (0, 1), 9.0),
    "a sample that is not a number": cell("tail_extrema", (0, 0), np.nan),
    "another sample kept": cell("seen", (0,), 1),
    "another sample": cell("tail_keys", (0, 0), 1),
}


@pytest.mark.parametrize("lie", LIES)
def test_numbers_that_contradict_each_other_are_refused(tmp_path, lie):
    path = tmp_path / "lie.npz"
    record().save(path)
    with np.load(path) as whole:
        arrays = dict(whole)
    LIES[lie](arrays)
    np.savez_compressed(path, **arrays)
    with pytest.raises(RecordError, match=r"lie\.npz: .*tinyint calibrate"):
        CalibrationRecord.load(path)


@pytest.mark.parametrize("name", ["seen", "counts", "tail_keys", "tail_extrema", "header"])
def test_an_array_of_another_size_than_told_is_not_unpacked(tmp_path, monkeypatch, name):
    path = tmp_path / "bomb.npz"
    record().save(path)
    with np.load(path) as whole:
        arrays = dict(whole)
    if name == "header":
        monkeypatch.setattr("tinyint.quantization.calibration.record._MOST_BYTES", 1000)
    arrays[name] = np.concatenate([arrays[name]] * 10)
    np.savez_compressed(path, **arrays)
    blocks, read = StreamTable.blocks, []
    monkeypatch.setattr(StreamTable, "blocks", lambda t, *a: read.append(t.name) or blocks(t, *a))
    with pytest.raises(RecordError, match="damaged"):
        CalibrationRecord.load(path)
    assert not any(name in told for told in read)


def test_more_tensors_than_a_model_has(tmp_path, monkeypatch):
    record().save(tmp_path / "many.npz")
    monkeypatch.setattr("tinyint.quantization.calibration.record._MOST_TENSORS", 0)
    with pytest.raises(RecordError, match="1 tensors, where no model has more than 0"):
        CalibrationRecord.load(tmp_path / "many.npz")


def test_a_record_knows_what_it_has_seen():
    made = record()
    other = CalibrationRecord("f" * 64)
    other.count(b"a" * 16)
    made.merge(other)
    assert made.samples == 2
    assert [made.saw(letter * 16) for letter in (b"a", b"b", b"k", b"z")] == [True, False, True, False]


def test_missing_file(tmp_path):
    with pytest.raises(RecordError, match="no such file"):
        CalibrationRecord.load(tmp_path / "none.npz")


def test_an_npz_of_something_else(tmp_path):
    np.savez(tmp_path / "other.npz", images=np.zeros(3))
    with pytest.raises(RecordError, match="lacks header"):
        CalibrationRecord.load(tmp_path / "other.npz")


def test_another_model():
    with pytest.raises(RecordError, match="ffffffffffff"):
        record().require_model("0" * 64)


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_record_or_a_record_error(tmp_path, content):
    path = tmp_path / "fuzz.npz"
    path.write_bytes(content)
    with pytest.raises(RecordError, match="fuzz"):
        CalibrationRecord.load(path)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_damaged_record_is_whole_or_refused(tmp_path, data):
    path = tmp_path / "damaged.npz"
    record().save(path)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    try:
        loaded = CalibrationRecord.load(path)
    except RecordError:
        return
    assert loaded == record()  # the damage hit a byte that zip does not read
