import numpy as np
import pytest

from tests.models import noise, residual
from tinyint import qat
from tinyint.data import Samples
from tinyint.errors import RecordError
from tinyint.graph.io import save_model
from tinyint.graph.prepare import prepare_float
from tinyint.quantization import calibrated as module
from tinyint.quantization.calibrated import Calibration, calibrated
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes.run import Run


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Model and data as files, with a cache of their own."""
    monkeypatch.setenv("TINYINT_CACHE_DIR", str(tmp_path / "cache"))
    save_model(residual(), tmp_path / "float.onnx")
    np.save(tmp_path / "x.npy", np.concatenate([sample["x"] for sample in noise(residual(), 6)]))
    return tmp_path


def of(place, recipe=None, **options):
    return Calibration.of(Samples(place / "x.npy"), residual(), recipe or Recipe(), **options)


def test_the_recipe_says_how_many_samples_where_they_have_no_limit(place):
    prepared = prepare_float(residual())

    def used(calibration, recipe):
        return calibrated(*prepared, recipe, calibration)[1].samples

    two = Recipe(samples=2)
    assert used(of(place), Recipe()) == 6
    assert used(of(place, two), two) == 2
    limited = Calibration.of(Samples(place / "x.npy", limit=3), residual(), two)
    assert used(limited, two) == 3


def test_a_record_counts_and_samples_are_for_trying_the_model(place):
    prepared, fingerprint = prepare_float(residual())
    _, record = calibrated(prepared, fingerprint, Recipe(), of(place))
    record.save(place / "record.npz")
    both = of(place, record=place / "record.npz")
    graph, again = calibrated(prepared, fingerprint, Recipe(), both)
    assert again == record
    assert graph.model is prepared
    assert len(both.samples(Recipe())) == 4
    assert Calibration(record=record).samples(Recipe()) == []
    with pytest.raises(RecordError, match="another model"):
        calibrated(prepared, "0" * 64, Recipe(), Calibration(record=record))


def test_progress_tells_samples_and_a_cached_record_is_told_at_once(place):
    heard: list[tuple[str, int, int | None]] = []
    run = Run(threads=1, progress=lambda *told: heard.append(told))
    for _ in range(2):
        calibrated(*prepare_float(residual()), Recipe(), of(place, run=run))
    assert heard[-2:] == [("calibrate", 6, 6), ("calibrate", 6, 6)]
    assert heard[0][1] < 6


def test_training_starts_from_the_cached_record(place, monkeypatch):
    first = qat.prepare(place / "float.onnx", place / "x.npy", target="generic")
    monkeypatch.setattr(module, "calibrate", lambda *_, **__: pytest.fail("the model was run again"))
    again = qat.prepare(place / "float.onnx", place / "x.npy", target="generic")
    assert isinstance(again.origin.record, CalibrationRecord)
    assert again.origin.record == first.origin.record
