from __future__ import annotations

import numpy as np
import pytest

from tests.runtimes.graphs import Graph
from tinyint.errors import DataError, DependencyError
from tinyint.runtimes import RUNTIMES, get_runtime
from tinyint.runtimes.base import TensorSpec, check_feeds, with_batch

IMAGE = TensorSpec(name="image", dtype=np.dtype("float32"), shape=(None, 3, 8, 8))
IDS = TensorSpec(name="ids", dtype=np.dtype("int64"), shape=(1, None))
GOOD = {"image": np.zeros((2, 3, 8, 8), np.float32), "ids": np.zeros((1, 5), np.int64)}


def test_fitting_feeds_pass_in_any_order() -> None:
    check_feeds([IMAGE, IDS], GOOD)
    check_feeds([IDS, IMAGE], GOOD)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (
            "image",
            np.zeros((2, 3, 8, 8)),
            r"'image': expected float32 \[\?, 3, 8, 8\], got float64 \[2, 3, 8, 8\]",
        ),
        ("image", np.zeros((2, 8, 8, 3), np.float32), r"got float32 \[2, 8, 8, 3\]"),
        ("image", np.zeros((3, 8, 8), np.float32), r"got float32 \[3, 8, 8\]"),
        ("ids", np.zeros((1, 5), np.int32), r"'ids': expected int64 \[1, \?\], got int32 \[1, 5\]"),
        ("img", np.zeros(1), r"no input 'img'; did you mean 'image'\?"),
    ],
)
def test_what_does_not_fit_is_named(name: str, array: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_feeds([IMAGE, IDS], {**GOOD, name: array})


def test_what_is_no_array_or_no_mapping_is_named() -> None:
    with pytest.raises(DataError, match=r"'ids': expected a NumPy array of int64 \[1, \?\], got a list"):
        check_feeds([IDS], {"ids": [[1, 2]]})  # type: ignore[dict-item]
    with pytest.raises(DataError, match="expected a mapping of input names to arrays, got a ndarray"):
        check_feeds([IDS], np.zeros((1, 5), np.int64))  # type: ignore[arg-type]


def test_a_batch_closes_the_first_dimensions_that_are_open() -> None:
    image, ids = with_batch([IMAGE, IDS], 4)
    assert (image.shape, ids.shape) == ((4, 3, 8, 8), (1, None))
    assert with_batch([IMAGE], None) == (IMAGE,)
    with pytest.raises(DataError, match="a batch of 0: expected 1 or more"):
        with_batch([IMAGE], 0)
    with pytest.raises(DataError, match=r"whose batch is not open \('ids' int64 \[1, \?\]\); leave it out"):
        with_batch([IDS], 1)


def test_a_missing_input_is_named() -> None:
    with pytest.raises(DataError, match=r"'ids' is missing: expected int64 \[1, \?\], got image"):
        check_feeds([IMAGE, IDS], {"image": GOOD["image"]})


@pytest.mark.parametrize("name", RUNTIMES)
def test_runtimes_are_found_by_name(name: str) -> None:
    assert get_runtime(name).name == name


def test_an_unknown_runtime_gets_the_nearest_name() -> None:
    with pytest.raises(DependencyError, match=r"unknown runtime 'openvno'; did you mean 'openvino'\?"):
        get_runtime("openvno")


@pytest.mark.parametrize("threads", [0, -1, 1000, 99999999999])
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_number_of_threads_that_no_machine_gains_from_is_refused(runtime: str, threads: int) -> None:
    g = Graph(1, 2)
    with pytest.raises(DataError, match=rf"{threads} threads: expected 1 to \d+; this machine has \d+"):
        get_runtime(runtime).open(g.model(g.add("Relu", ["x"], "relu")), threads=threads)
