"""Pairs of weights that kernels add, worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyint.targets import Packing
from tinyint.targets.packing import pairs_of


def listed(packings, inputs, kernel=()):
    return [pairs.tolist() for pairs in pairs_of(packings, inputs, kernel)]


def test_a_product_of_matrices_adds_neighbours():
    assert listed((Packing.FLAT,), 4) == [[[0, 1], [2, 3]]]
    assert listed((Packing.FLAT,), 5) == [[[0, 1], [2, 3]]]


def test_a_flat_kernel_goes_on_from_one_position_to_the_next():
    # positions of (3 inputs, kernel of 2): input 0 at 0 and 1, input 1 at 2 and 3, input 2 at 4 and 5
    assert listed((Packing.FLAT,), 3, (2,)) == [[[0, 2], [1, 4], [3, 5]]]


def test_a_kernel_by_position_pads_each():
    assert listed((Packing.BY_POSITION,), 3, (2,)) == [[[0, 2], [1, 3]]]


def test_columns_hold_for_one_input():
    assert listed((Packing.COLUMNS,), 1, (3, 3)) == [[[0, 3], [1, 6], [2, 5], [4, 7]]]
    assert listed((Packing.COLUMNS,), 3, (3, 3)) == []


@pytest.mark.parametrize("kernel", [(), (1, 1), (3,), (3, 3), (2, 3, 4)])
def test_an_even_number_of_inputs_has_the_same_pairs_under_every_packing(kernel):
    assert len(listed(tuple(Packing), 6, kernel)) == 1


@given(st.sampled_from(Packing), st.integers(1, 9), st.lists(st.integers(1, 4), max_size=3))
def test_no_position_is_in_two_pairs(packing, inputs, kernel):
    for pairs in pairs_of((packing,), inputs, tuple(kernel)):
        assert len(np.unique(pairs)) == pairs.size
        assert pairs.max() < inputs * np.prod(kernel)
