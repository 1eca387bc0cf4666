"""Writing of a family's samples in parallel: a whole directory, or none."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tinyint.errors import DataError, OutputError, nearest
from tinyint.extras.synthetic.family import SPLITS, Family
from tinyint.extras.synthetic.fundus import Fundus
from tinyint.extras.synthetic.glyphs import Glyphs
from tinyint.extras.synthetic.scenes import Scenes
from tinyint.extras.synthetic.sentences import Sentences
from tinyint.extras.synthetic.streets import Streets
from tinyint.files import OWN, refusals, sweep, temporary

__all__ = ["FAMILIES", "Made", "make"]

_FAMILIES: tuple[Family, ...] = (Glyphs(), Scenes(), Fundus(), Streets(), Sentences())
FAMILIES = {family.name: family for family in _FAMILIES}

_CHUNK = 32  # samples that a process gets at once


@dataclass(frozen=True)
class Made:
    """Record of a `make` call."""

    family: Family
    directory: Path
    seed: int
    train: int
    val: int


def make(
    family: str,
    directory: str | Path,
    *,
    seed: int = 0,
    train: int | None = None,
    val: int | None = None,
    size: int | None = None,
    workers: int = 1,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Made:
    """Writes `train` and `val` samples of a family to `directory`.

    The directory must be empty or not exist. `size` is the images' height in pixels (of scenes, the longer side).
    Numbers and size are the family's own by default. Neither the numbers nor `workers` (processes) change a sample.
    With `workers` > 1, a script needs its `if __name__ == "__main__"` guard. `progress` is called with the split's
    name, the number of samples so far, and their total.

    Raises DataError for an unknown family or an impossible size, OutputError if the directory is not empty or not
    writable; then nothing is left in it.
    """
    maker = _maker(family, size)
    counts = {
        split: default if count is None else count
        for split, default, count in zip(SPLITS, maker.counts, (train, val), strict=True)
    }
    if min(*counts.values(), seed) < 0 or workers < 1:
        raise DataError(f"seed {seed}, {counts}, {workers} workers: the least are 0, 0 samples and 1 worker")
    directory = Path(directory)
    with _whole(directory) as root, _pool(workers) as pool:
        maker.prepare(root)
        for split in SPLITS:
            samples = []
            for sample in pool(partial(maker.write_sample, root, seed, split), range(counts[split])):
                samples.append(sample)
                if progress is not None:
                    progress(split, len(samples), counts[split])
            maker.write_list(root, split, samples)
    return Made(maker, directory, seed, counts["train"], counts["val"])


def _maker(name: str, size: int | None) -> Family:
    if name not in FAMILIES:
        raise DataError(f"there is no family {name!r} of synthetic data; {nearest(name, FAMILIES)}")
    family = FAMILIES[name]
    if size is None:
        return family
    if not family.least_size:
        raise DataError(f"{name} are text and have no size: leave it out")
    if size < family.least_size:
        raise DataError(
            f"{name} of {size} pixels show nothing: ask for a size of {family.least_size} or more"
        )
    return replace(family, size=size)


_Map = Callable[[Callable[[int], Any], range], Iterator[Any]]


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[_Map]:
    """`map` that keeps the order, in this process or several new ones."""
    if workers == 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")  # a fork may block on locks of other threads
    pool = ProcessPoolExecutor(workers, context, initializer=_belong_to_parent)
    try:
        yield partial(pool.map, chunksize=_CHUNK)
    except BrokenProcessPool as error:
        raise OutputError(
            "a worker process was killed, perhaps for want of memory: use fewer workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _belong_to_parent() -> None:
    """Leaves interrupts to the parent, and ends the worker if the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=[multiprocessing.parent_process()], daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


@contextlib.contextmanager
def _whole(directory: Path) -> Iterator[Path]:
    """Temporary directory whose contents go to `directory` at the end; removed on an error."""
    existed = os.path.isdir(directory)
    beside = directory / "tinyint" if existed else directory
    with refusals(directory):
        beside.parent.mkdir(parents=True, exist_ok=True)
        sweep(beside)
        _require_vacant(directory)
        with temporary(beside, directory=True) as scratch:
            yield scratch
            shutil.rmtree(scratch / OWN)
            if existed:  # filled, not replaced: it may be a mounted volume, or the user's working directory
                for part in sorted(scratch.iterdir()):
                    os.replace(part, directory / part.name)
            else:
                scratch.chmod(0o777 & ~_umask())
                os.replace(scratch, directory)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _require_vacant(directory: Path) -> None:
    if os.path.isdir(directory):
        names = sorted(os.listdir(directory))
        if names:
            raise OutputError(
                f"the directory {str(directory)!r} is not empty (it holds {names[0]!r}): choose a new one, or remove it"
            )
    elif os.path.exists(directory):
        raise OutputError(f"cannot write to {str(directory)!r}: it is not a directory; choose another name")
