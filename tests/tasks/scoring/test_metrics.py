from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyint.tasks.scoring.metrics import rank_of, top_k

LOGITS = np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.5], [3, 1, 2], [np.nan, 0, -1]], np.float32)


def test_ranks_by_hand_with_ties_to_the_lower_class() -> None:
    assert rank_of(LOGITS, [2, 1, 1, 0]).tolist() == [1, 1, 2, 2]
    assert rank_of(LOGITS, [1, 0, 0, 1]).tolist() == [0, 0, 0, 0]
    assert top_k(LOGITS, [2, 1, 1, 2], 2).tolist() == [True, True, False, True]


@given(hnp.arrays(np.float32, (7, 5), elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0])), st.integers(0, 4))
def test_rank_is_that_of_a_stable_sort(logits: np.ndarray, label: int) -> None:
    order = np.argsort(-logits, axis=1, kind="stable")
    expected = [row.tolist().index(label) for row in order]
    assert rank_of(logits, np.full(7, label)).tolist() == expected
    assert top_k(logits, np.full(7, label), 1).tolist() == (logits.argmax(axis=1) == label).tolist()
