from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from tinyint.loading.structure import filled, leaf_paths, leaves, names_of, output_kind


class Pair(NamedTuple):
    boxes: Any
    scores: Any


@dataclass
class Answer:
    logits: Any
    hidden: Any = None


NESTED = {"batch": {"ids": 1, "mask": 2}, "sizes": [3, (4,)], "pair": Pair(5, 6), "answer": Answer(7)}


def test_leaves_come_in_order():
    assert leaves(NESTED, int) == [1, 2, 3, 4, 5, 6, 7]


def test_leaves_are_put_back_where_they_were():
    doubled = filled(NESTED, int, iter([2, 4, 6, 8, 10, 12, 14]))
    assert doubled == {
        "batch": {"ids": 2, "mask": 4},
        "sizes": [6, (8,)],
        "pair": Pair(10, 12),
        "answer": Answer(14),
    }
    assert isinstance(doubled["pair"], Pair)
    assert NESTED["batch"]["ids"] == 1


def test_a_leaf_is_called_by_its_last_key_and_a_position_by_what_it_is_in():
    paths = [path for path, leaf in leaf_paths(NESTED) if leaf is not None]
    assert names_of(paths, "x") == ["ids", "mask", "sizes.0", "sizes.1.0", "boxes", "scores", "logits"]


def test_names_that_would_be_the_same_are_told_apart_by_all_their_keys():
    assert names_of([("left", "x"), ("right", "x"), ("y",)], "z") == ["left.x", "right.x", "y"]
    assert names_of([()], "output") == ["output"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, "single"),
        ((1,), "tuple"),
        ([1], "list"),
        ({"a": 1}, "dict"),
        (Pair(1, 2), "tuple"),
        (Answer(1), "dict"),
    ],
)
def test_how_a_result_hands_out_its_tensors(value, kind):
    assert output_kind(value) == kind
