"""Judges drafts one after another in a process of its own, which a runtime may abort, and makes finds smaller."""

from __future__ import annotations

import multiprocessing
import random
import tempfile
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from tests.fuzz.models import Draft
from tests.fuzz.oracle import WAYS, Verdict, Way, judge

Task = tuple[Draft, Way]

ABORTED = Verdict("fault", "the process ends", "a runtime ended the process")


def task(seed: int, ways: tuple[Way, ...] = WAYS) -> Task:
    """The draft of this number and what is done with it."""
    rng = random.Random(seed)  # noqa: S311
    draft = Draft(rng.getrandbits(32), tuple(rng.getrandbits(32) for _ in range(rng.randint(1, 8))))
    return draft, rng.choice(ways)


def judged(tasks: Iterable[Task]) -> Iterator[tuple[Task, Verdict]]:
    """Each task with its verdict, in order; where the process ends, a new one goes on behind the task that ended it."""
    left = list(tasks)
    while left:
        done = 0
        for done, verdict in enumerate(_answers(left), 1):
            yield left[done - 1], verdict
        if done < len(left):
            yield left[done], ABORTED
        left = left[done + 1 :]


def _answers(tasks: list[Task]) -> Iterator[Verdict]:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_judge_all, args=(tasks, sender))
    process.start()
    sender.close()
    try:
        for _ in tasks:
            yield receiver.recv()
    except EOFError:
        pass
    finally:
        process.kill()
        process.join()


def _judge_all(tasks: list[Task], sender: Connection) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for draft, way in tasks:
            sender.send(judge(draft, way, Path(folder)))


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
