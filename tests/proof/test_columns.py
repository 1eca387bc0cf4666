import math

import numpy as np
import pytest

from tinyint.proof.columns import Columns, ColumnSums

BOXES = [[100.0, 200.0], [300.0, 400.0], [500.0, 600.0]]
SCORES = [[0.5], [0.8], [0.1]]


def worst(expected: object, actual: object) -> Columns | None:
    sums = ColumnSums()
    sums.add(np.array(expected, np.float32), np.array(actual, np.float32))
    return sums.worst()


def joined(boxes: object, scores: object) -> np.ndarray:
    return np.concatenate([np.array(boxes), np.array(scores)], axis=1)


def test_scores_that_are_lost_beside_boxes_are_found() -> None:
    found = worst(joined(BOXES, SCORES), joined(BOXES, np.zeros((3, 1))))
    assert found is not None
    assert (found.columns, found.sqnr_db, found.peak) == ((2,), 0.0, pytest.approx(0.8))
    # Σx² = 0.9, (Σx)²/n = 1.96/3
    assert found.constant_db == pytest.approx(10 * math.log10(0.9 / (0.9 - 1.96 / 3)))
    assert str(found) == "column 2, up to 0.8"


@pytest.mark.parametrize("layout", ["last", "second"])
def test_columns_are_those_of_the_shorter_axis(layout: str) -> None:
    float_rows, int8_rows = joined(BOXES, SCORES)[None], joined(BOXES, np.zeros((3, 1)))[None]
    float_rows, int8_rows = np.tile(float_rows, (1, 3, 1)), np.tile(int8_rows, (1, 3, 1))
    if layout == "second":
        float_rows, int8_rows = float_rows.transpose(0, 2, 1), int8_rows.transpose(0, 2, 1)
    found = worst(float_rows, int8_rows)
    assert found is not None
    assert (found.columns, found.sqnr_db) == ((2,), 0.0)


def test_columns_of_one_magnitude_are_not_told_apart() -> None:
    rare = joined(
        [[0.9, 0.9], [0.8, 0.7]], [[0.12], [0.0]]
    )  # a class that is seldom seen goes with the others
    assert worst(rare, rare) is None


def test_scores_that_are_never_high_may_be_lost() -> None:
    faint = [[0.04], [0.02], [0.01]]
    assert worst(joined(BOXES, faint), joined(BOXES, np.zeros((3, 1)))).columns == (0, 1)  # type: ignore[union-attr]
    signed = [[0.04], [-0.02], [0.01]]
    assert worst(joined(BOXES, signed), joined(BOXES, np.zeros((3, 1)))).columns == (2,)  # type: ignore[union-attr]


def test_many_columns_are_features_of_one_kind() -> None:
    wide = np.ones((2, 129))
    wide[:, 0] = 1000
    assert worst(wide, wide) is None


def test_groups_are_named_by_their_runs() -> None:
    found = Columns(columns=(0, 2, 3, 4, 7), peak=12.0, sqnr_db=1.0, constant_db=0.0)
    assert str(found) == "columns 0, 2-4, 7, up to 12"
