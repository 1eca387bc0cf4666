import numpy as np
import pytest

from tests.graph.build import build
from tinyint.proof.rows import RowSums, matched, selections


def floats(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


FOUND = floats([100.5, 200, 0.9, 3], [400, 300, 0.5, 7])


@pytest.mark.parametrize(
    ("theirs", "count"),
    [
        (FOUND, 2),
        (FOUND[::-1], 2),  # in another order
        (floats([130.5, 200, 0.9, 3], [400, 300, 0.5, 7]), 2),  # a tenth of 400 is near
        (floats([150.5, 200, 0.9, 3], [400, 300, 0.5, 7]), 1),
        (floats([100.5, 200, 0.75, 3], [400, 300, 0.65, 7]), 2),  # a fifth of a score is near
        (floats([100.5, 200, 0.65, 3], [400, 300, 0.5, 7]), 1),
        (floats([100.5, 200, 0.9, 4], [400, 300, 0.5, 7]), 1),  # another class
        (floats([100.5, 200, 0.9, 3], [100.5, 200, 0.9, 3]), 1),  # one row has one counterpart
        (floats([400, 300, 0.5, 7]), 1),
        (np.zeros((0, 4), np.float32), 0),
    ],
)
def test_rows_are_matched_whatever_their_order(theirs: np.ndarray, count: int) -> None:
    assert matched(FOUND, theirs) == count


def test_indices_must_be_equal() -> None:
    ours, theirs = np.array([[0, 1, 5], [0, 1, 6]]), np.array([[0, 1, 6], [0, 1, 7]])
    assert matched(ours, theirs) == 1


def test_many_columns_are_compared_by_their_mean_square() -> None:
    ours = np.full((1, 100), 1.0) + 0.5 * (np.arange(100) == 1)
    theirs = ours + 0.9 * (np.arange(100) == 0)  # off by six tolerances in one of a hundred columns
    assert matched(ours, theirs) == 1


def test_the_share_is_of_the_rows_of_both_without_filling() -> None:
    sums = RowSums()
    assert sums.share is None
    sums.add(floats([5, 1], [3, 2], [0, 0])[None], floats([3, 2], [0, 0], [0, 0])[None])
    assert sums.share == 2 / 3


@pytest.mark.parametrize("shape", [(0,), (0, 7), (1, 0, 6), (0, 1, 28, 28)])
def test_nothing_may_be_selected(shape: tuple[int, ...]) -> None:
    sums, one = RowSums(), np.ones((1, *shape[1:]) if shape[0] == 0 else (1, 1, 6), np.float32)
    sums.add(np.zeros(shape, np.float32), np.zeros(shape, np.float32))
    assert sums.share is None
    sums.add(np.zeros(shape, np.float32), one)
    sums.add(one, np.zeros(shape, np.float32))
    assert sums.share == 0


def test_selections_are_known_by_where_they_come_from() -> None:
    text = """
        g (float[1,8,4] boxes, float[1,2,8] scores, float[N,9] x)
          => (int64[K,3] kept, float[1,3,4] best, float[N,3] top, float[M] high, float[N,9] y) {
          most = Constant <value_ints = [5]> ()
          kept = NonMaxSuppression (boxes, scores, most)
          three = Constant <value_ints = [3]> ()
          best, i = TopK <axis = 1> (boxes, three)
          top, j = TopK (x, three)
          flat = Flatten (x)
          where = Greater (flat, flat)
          high = Compress (flat, where)
          y = Identity (x)
        }
        """
    assert selections(build(text).graph) == {"kept", "best", "high"}
