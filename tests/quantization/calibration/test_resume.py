"""A calibration that is interrupted, and its checkpoint."""

import shutil
import sys

import pytest

from tests.models import residual
from tests.quantization.calibration.build import run, samples_of
from tinyint.quantization.calibration import CalibrationRecord


def test_a_calibration_that_is_interrupted_resumes(tmp_path):
    model = residual()
    samples = samples_of(model)
    checkpoint = tmp_path / "partial.npz"

    def interrupted():
        yield from samples[:4]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(model, interrupted(), checkpoint=checkpoint)
    assert CalibrationRecord.load(checkpoint).samples == 4
    done = []
    record = run(model, samples, checkpoint=checkpoint, progress=done.append)
    assert done == [5, 6]
    assert record == run(model, samples)
    assert not checkpoint.exists()


def test_a_checkpoint_that_cannot_be_written_does_not_hide_why_calibration_ended(tmp_path):
    model = residual()

    def interrupted():
        yield from samples_of(model, 2)
        raise KeyboardInterrupt

    (tmp_path / "file").touch()
    with pytest.raises(KeyboardInterrupt):
        run(model, interrupted(), checkpoint=tmp_path / "file" / "partial.npz")


@pytest.mark.parametrize("loss", ["removed", "replaced by a file"])
def test_a_cache_that_is_lost_on_the_way_ends_no_calibration(tmp_path, monkeypatch, loss):
    model, place = residual(), tmp_path / "cache"
    place.mkdir()
    monkeypatch.setattr("tinyint.quantization.calibration.run._CHECKPOINT_SECONDS", 0.0)

    def samples():
        for i, sample in enumerate(samples_of(model)):
            if i == 3:
                shutil.rmtree(place)
                if loss != "removed":
                    place.touch()
            yield sample

    record = run(model, samples(), checkpoint=place / "partial.npz")
    assert record == run(model, samples_of(model))


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of file sizes")
def test_a_full_disk_ends_no_calibration(tmp_path, monkeypatch):
    import resource

    model = residual()
    monkeypatch.setattr("tinyint.quantization.calibration.run._CHECKPOINT_SECONDS", 0.0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        record = run(model, samples_of(model), checkpoint=tmp_path / "partial.npz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert record == run(model, samples_of(model))
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_other_samples_is_not_used(tmp_path):
    model = residual()
    checkpoint = tmp_path / "partial.npz"
    run(model, samples_of(model, 3, seed=9)).save(checkpoint)
    samples = samples_of(model)
    with pytest.warns(UserWarning, match="other samples"):
        record = run(model, samples, checkpoint=checkpoint)
    assert record == run(model, samples)
