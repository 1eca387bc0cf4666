"""Judges drafts one after another in processes of their own, which a runtime may end, and makes finds smaller."""

from __future__ import annotations

import multiprocessing
import os
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from tests.fuzz.models import Draft
from tests.fuzz.oracle import WAYS, Verdict, Way, judge, run_float

Task = tuple[Draft, Way]

_Judging = Callable[[Draft, Way, Path], Verdict]
_Running = Callable[[Draft, Way], None]

ABORTED = Verdict("fault", "the process ends", "a runtime ended the process")
DAMAGED = Verdict(
    "fault", "the process ends", "not by this model alone: an earlier one has damaged its memory"
)
ENDLESS = Verdict("fault", "no end", "a runtime did not come to an end")
FLOAT_ABORTS = Verdict("the float model ends its runtime")  # which is not for us to judge

_FRESH = multiprocessing.get_context("forkserver")  # whose children have no threads of a runtime
_FRESH.set_forkserver_preload(["tests.fuzz.oracle"])


def task(seed: int, ways: tuple[Way, ...] = WAYS) -> Task:
    """The draft of this number and what is done with it."""
    rng = random.Random(seed)  # noqa: S311
    draft = Draft(rng.getrandbits(32), tuple(rng.getrandbits(32) for _ in range(rng.randint(1, 8))))
    return draft, rng.choice(ways)


class Judge:
    """A process that judges drafts by `judge`, each in at most `seconds`; where one ends it, `run_float` tells whether
    its float model does, and the next draft has another process."""

    def __init__(
        self, judge: _Judging = judge, run_float: _Running = run_float, seconds: float = 300.0
    ) -> None:
        self._judge, self._run_float, self._seconds = judge, run_float, seconds
        self._judged = 0

    def __enter__(self) -> Self:
        return self

    def __call__(self, draft: Draft, way: Way) -> Verdict:
        if not self._judged:
            self._asked, asked = _FRESH.Pipe()
            self._process = _FRESH.Process(
                target=_judge_all, args=(self._judge, asked, os.environ.get(_CACHE))
            )
            self._process.start()
            asked.close()
        self._judged += 1
        try:
            self._asked.send((draft, way))
            if not self._asked.poll(self._seconds):
                self._end()
                return ENDLESS
            verdict: Verdict = self._asked.recv()
        except (EOFError, ConnectionError):
            alone = self._judged == 1
            self._end()
            return self._at_the_end(draft, way, alone=alone)
        return verdict

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._judged:
            self._end()

    def _end(self) -> None:
        self._judged = 0
        self._process.kill()
        self._process.join()
        self._asked.close()

    def _at_the_end(self, draft: Draft, way: Way, *, alone: bool) -> Verdict:
        """Whose fault it is that the process ended."""
        process = _FRESH.Process(target=self._run_float, args=(draft, way))
        process.start()
        process.join(self._seconds)
        if process.exitcode != 0:
            process.kill()
            return FLOAT_ABORTS
        if alone:
            return ABORTED
        with Judge(self._judge, self._run_float, self._seconds) as judge_alone:
            return DAMAGED if judge_alone(draft, way) != ABORTED else ABORTED


_CACHE = "TINYINT_CACHE_DIR"


def _judge_all(judge: _Judging, asked: Connection, cache: str | None) -> None:
    torch.set_num_threads(1)
    if cache is not None:
        os.environ[_CACHE] = cache
    with tempfile.TemporaryDirectory() as folder:
        while True:
            try:
                draft, way = asked.recv()
            except EOFError:
                return
            asked.send(judge(draft, way, Path(folder)))


def judged(tasks: Iterable[Task]) -> Iterator[tuple[Task, Verdict]]:
    """Each task with its verdict, in order."""
    with Judge() as judge_next:
        for draft, way in tasks:
            yield (draft, way), judge_next(draft, way)


def smaller(draft: Draft, way: Way) -> Draft:
    """The draft without the steps that its fault does not need."""
    ((_, found),) = judged([(draft, way)])
    kept = 0
    while kept < len(draft.steps):
        less = Draft(draft.frame, (*draft.steps[:kept], *draft.steps[kept + 1 :]))
        ((_, verdict),) = judged([(less, way)])
        if verdict.fault == found.fault:
            draft = less
        else:
            kept += 1
    return draft
