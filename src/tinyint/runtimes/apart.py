"""Runs in a child process, which a runtime may end or never leave.

The child is a plain Python that imports a runtime and nothing of the user's. It takes requests from its standard input,
answers on its standard output, and ends with its parent. To start one takes longer than most of what it is asked, so
that it stays for a minute for whoever needs one next.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from queue import Empty, SimpleQueue
from types import EllipsisType
from typing import IO, TypeAlias

from tinyint.errors import ModelError
from tinyint.graph.source import Loadable, ModelSource, loadable
from tinyint.numbers.numerics import Array
from tinyint.runtimes import get_runtime
from tinyint.runtimes.base import Feeds, Session

__all__ = ["Apart", "Failure", "Outputs", "run", "run_all", "serve"]

Outputs: TypeAlias = list[dict[str, Array]]
_Request: TypeAlias = tuple[str, Loadable, int | None, Sequence[Feeds]]
_Patience: TypeAlias = float | None
"""Seconds that a child waits for what comes next; None: any time."""

_READY = b"tinyint\n"
_START_SECONDS = 120.0  # the libraries may come from a slow disk
_GLANCE_SECONDS, _GRACE_SECONDS = 0.1, 1.0
_LEFT_SECONDS, _MARGIN_SECONDS = 60.0, 30.0
# The path comes first: all that is imported after it is what the parent imports.
_CODE = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from tinyint.runtimes.apart import serve; serve()"
)


class Failure(StrEnum):
    """Failure of a runtime to run a model."""

    REFUSED = "does not run the model"
    ENDED = "ends the process"
    STUCK = "does not come to an end"

    @property
    def fatal(self) -> bool:
        """Whether it takes down the process that opens the model."""
        return self is not Failure.REFUSED


_Answer: TypeAlias = Outputs | Failure | Exception


def run_all(
    runtime: str, model: ModelSource, threads: int | None, feeds: Sequence[Feeds]
) -> Outputs | Failure:
    """Outputs of each of `feeds`, in this process."""
    try:
        session = get_runtime(runtime).open(model, threads=threads)
        return [run(session, inputs) for inputs in feeds]
    except ModelError:
        return Failure.REFUSED


def run(session: Session, feeds: Feeds) -> dict[str, Array]:
    """Outputs by name; a model may lack inputs of which it makes nothing."""
    return session.run({spec.name: feeds[spec.name] for spec in session.inputs if spec.name in feeds})


class Apart:
    """Child process for runs on a runtime.

    It is started at once, unless an earlier one is free, and anew where it has ended. Runs are in this process where no
    child can be started: where the program that runs is no Python, but holds one.
    """

    def __init__(self, runtime: str) -> None:
        self._runtime = runtime
        self._child: _Child | None = _free() or _start()
        self._lacking = self._child is None

    @property
    def fresh(self) -> bool:
        """Whether the child, if there is one, has run nothing yet."""
        return self._child is None or self._child.answered == 0

    def run_all(
        self, model: ModelSource, threads: int | None, feeds: Sequence[Feeds], seconds: float
    ) -> Outputs | Failure:
        """As the function, in the child; STUCK after `seconds`."""
        if self._child is None and not self._lacking:
            self._child = _start()
        if self._child is None or not self._child.ready():
            self._lacking = True
            self.end()
            return run_all(self._runtime, model, threads, feeds)
        with loadable(model) as source:
            here = source.absolute() if isinstance(source, Path) else source
            answer = self._child.ask((self._runtime, here, threads, feeds), seconds)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Failure) and answer.fatal:
            self.end()
        return answer

    def leave(self) -> None:
        """Leaves the child to the next that needs one."""
        if self._child is not None:
            self._child.leave()
            self._child = None

    def end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


class _Child:
    """A process that serves. A thread talks with it, so that nobody waits for one that has ended or hangs."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._started_in = _surroundings()
        self._left = 0.0
        self._asked: SimpleQueue[_Request | _Patience | EllipsisType] = SimpleQueue()
        self._told: SimpleQueue[_Answer] = SimpleQueue()
        self._talk = threading.Thread(target=self._talking, daemon=True)
        self._talk.start()
        self._ready: bool | None = None
        self._answers = True
        self.answered = 0

    def ready(self) -> bool:
        """Whether it has started."""
        if self._ready is None:
            self._ready = not isinstance(self._answer(_START_SECONDS), Failure)
        return self._ready

    def ask(self, request: _Request, seconds: float) -> _Answer:
        self._asked.put(request)
        self._answers = False
        answer = self._answer(seconds)
        self._answers = True
        self.answered += 1
        return answer

    def leave(self) -> None:
        if not self._answers:  # an exception has come between a request and its answer
            self.end()
            return
        self._left = time.monotonic()
        self._asked.put(_LEFT_SECONDS)
        _left.append(self)

    def take(self) -> bool:
        """Whether it has been left a moment ago and a new one would be no different; then it waits again."""
        recent = time.monotonic() - self._left < _LEFT_SECONDS - _MARGIN_SECONDS
        if not (recent and self._process.poll() is None and self._started_in == _surroundings()):
            return False
        self._asked.put(None)
        return True

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._asked.put(...)
        self._talk.join(_GRACE_SECONDS)

    def _talking(self) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError, EOFError, pickle.UnpicklingError), process.stdout, process.stdin:
            _send(process.stdin, [entry for entry in sys.path if isinstance(entry, str)])
            if process.stdout.read(len(_READY)) == _READY:
                self._told.put([])
                while (asked := self._asked.get()) is not ...:
                    _send(process.stdin, asked)
                    if isinstance(asked, tuple):
                        self._told.put(pickle.load(process.stdout))  # noqa: S301  of our own child
        self._told.put(Failure.ENDED)

    def _answer(self, seconds: float) -> _Answer:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(Empty):
                return self._told.get(timeout=_GLANCE_SECONDS)
            if self._process.poll() is not None:  # a process that it has forked may keep the pipes open
                with suppress(Empty):
                    return self._told.get(timeout=_GRACE_SECONDS)
                return Failure.ENDED
        return Failure.STUCK


def _send(stream: IO[bytes], what: object) -> None:
    pickle.dump(what, stream, pickle.HIGHEST_PROTOCOL)
    stream.flush()


_UNSEEN = {"TINYINT_CACHE_DIR", "PYTEST_CURRENT_TEST"}
_left: list[_Child] = []
"""Children that wait for the next to need one."""

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_left.clear)  # they are the parent's


def _free() -> _Child | None:
    """A child that has been left."""
    while _left:
        child = _left.pop()
        if child.take():
            return child
        child.end()
    return None


@atexit.register
def _end_left() -> None:
    while _left:
        _left.pop().end()


def _surroundings() -> tuple[object, ...]:
    """What a runtime in a child sees of the process that starts it."""
    environment = {name: value for name, value in os.environ.items() if name not in _UNSEEN}
    return sys.executable, list(sys.path), environment


def _start() -> _Child | None:
    if not sys.executable or getattr(sys, "frozen", False):  # a frozen program would start itself
        return None
    try:
        return _Child(
            subprocess.Popen(
                [sys.executable, "-P", "-c", _CODE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        )
    except OSError:
        return None


def serve() -> None:
    """Answers requests, until the other end is closed."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    _leave_nothing()
    answers.write(_READY)
    answers.flush()
    for runtime, model, threads, feeds in _requests(requests):
        answer: _Answer
        try:
            answer = run_all(runtime, model, threads, feeds)
        except Exception as error:  # the parent raises it
            answer = error
        _send(answers, answer)


def _requests(stream: IO[bytes]) -> Iterator[_Request]:
    """Requests as they come. A thread waits for them, and ends the process with its parent, whatever runs."""
    queue: SimpleQueue[_Request | _Patience] = SimpleQueue()

    def read() -> None:
        try:
            while True:
                queue.put(pickle.load(stream))  # noqa: S301  of our own parent
        finally:
            os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    patience: _Patience = None
    with suppress(Empty):
        while True:
            asked = queue.get(timeout=patience)
            if isinstance(asked, tuple):
                yield asked
            else:
                patience = asked
    os._exit(0)


def _leave_nothing() -> None:
    """No traceback after Ctrl-C, which the parent answers, no dump of the memory, and no process that tells of this
    one, as OpenVINO's telemetry forks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    with suppress(ImportError):
        import resource  # not on Windows

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
