from pathlib import Path

import numpy as np
import pytest

from tinyint.data import Preprocessing, Samples
from tinyint.errors import DataError
from tinyint.metadata import PREPROCESSING
from tinyint.runtimes import TensorSpec

SPECS = [TensorSpec(name="x", dtype=np.dtype(np.float32), shape=(None, 2))]
ROWS = np.arange(20, dtype=np.float32).reshape(10, 2)


def first_values(samples: Samples, **options) -> list[float]:
    return [float(sample.inputs["x"][0, 0]) for sample in samples.open(SPECS, {}, **options)]


def test_data_stand_for_themselves():
    assert Samples.of(ROWS).data is ROWS
    assert Samples.of(None).data is None
    samples = Samples(ROWS, limit=3)
    assert Samples.of(samples) is samples


def test_limit_and_skip_choose_among_them():
    assert first_values(Samples(ROWS, limit=2, skip=3)) == [6, 8]
    assert first_values(Samples(ROWS, limit="all", skip=8)) == [16, 18]
    assert first_values(Samples(ROWS), default=2) == [0, 2]
    assert first_values(Samples(ROWS, limit=1), default=2) == [0]


def test_fewer_than_were_asked_for_are_worth_a_notice_and_fewer_than_the_default_are_not():
    asked, default = (
        Samples(ROWS, limit=64).open(SPECS, {}),
        Samples(ROWS).open(SPECS, {}, default=64),
    )
    assert asked.notices == ("64 samples were asked for; data has 10",)
    assert default.notices == ()
    assert (asked.len_hint, default.len_hint) == (10, 10)


def test_the_default_bounds_data_of_unknown_length():
    def generate():
        while True:
            yield {"x": np.zeros(2, np.float32)}

    assert len(list(Samples(generate).open(SPECS, {}, default=5))) == 5


def test_a_preprocessing_that_has_no_effect_is_told_if_the_user_gave_it():
    given = Preprocessing(resize=4)
    (notice,) = Samples(ROWS, preprocessing=given).open(SPECS, {}).notices
    assert "taken as they are" in notice
    assert Samples(ROWS).open(SPECS, given.to_metadata()).notices == ()


def test_preprocessing_is_a_declaration_its_keys_a_file_or_the_models(tmp_path: Path):
    declared = Preprocessing(resize=4)
    file = tmp_path / "images.yaml"
    file.write_text(declared.dump())
    for given in (declared, {"resize": 4}, file, str(file)):
        assert Samples(None, preprocessing=given).declared({}) == declared
    saved = {PREPROCESSING: Preprocessing(resize=8).dump()}
    assert Samples(None, preprocessing=declared).declared(saved) == declared
    assert Samples(None).declared(saved) == Preprocessing(resize=8)
    assert Samples(None).declared({}) is None


def test_the_paths_that_are_read(tmp_path: Path):
    data, file = tmp_path / "x.npy", tmp_path / "images.yaml"
    np.save(data, ROWS)
    assert Samples(data, preprocessing=file).paths == [data, file]
    assert Samples(ROWS).paths == []


def test_no_data_are_no_samples():
    with pytest.raises(DataError, match="there are no samples; give data"):
        Samples(None).open(SPECS, {})
