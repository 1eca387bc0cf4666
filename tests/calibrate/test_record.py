import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinyint.calibrate import CalibrationRecord
from tinyint.errors import RecordError
from tinyint.observers import Summary


def record() -> CalibrationRecord:
    summary = Summary()
    summary.update(-1.0, 2.5, np.float32([-1.0, 0.1, 2.5]), b"k" * 16)
    made = CalibrationRecord("f" * 64, {"tensor": summary})
    made.count(b"k" * 16)
    return made


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
