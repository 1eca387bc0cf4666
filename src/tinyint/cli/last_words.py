"""Last words of a process that a library ends by a signal.

Python cannot catch such a signal: a second process, forked before any library is loaded, says what happened.
"""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

__all__ = ["last_words"]

_DONE = b"\0"  # the command has ended by itself, and said what there is to say
_LIBRARY = re.compile(r"site-packages/(openvino|onnxruntime|tensorrt|torch)/")
_KEPT = "files are as they were saved last"
_WAY_OUT = "try another target or runtime for this model, and please report it to those who make the library"


@contextmanager
def last_words() -> Iterator[None]:
    """Guard around a command.

    Nothing where processes cannot be forked, or Python's own fault handler is wanted.
    """
    if not hasattr(os, "fork") or faulthandler.is_enabled():
        yield
        return
    heard, told = os.pipe()
    watcher = os.fork()
    if watcher == 0:
        os.close(told)
        _watch(heard)
    os.close(heard)
    owner = os.getpid()
    faulthandler.enable(told, all_threads=False)
    try:
        yield
    finally:
        if os.getpid() == owner:
            faulthandler.disable()
            os.write(told, _DONE)
            os.close(told)
            os.waitpid(watcher, 0)


def _watch(heard: int) -> NoReturn:
    """Waits for the end of the command, and outlives what is sent to both, such as Ctrl-C."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    trace = b""
    while more := os.read(heard, 4096):
        trace += more
    if not trace.endswith(_DONE):
        _say(_ending(trace.decode(errors="replace")))
    os._exit(0)


def _ending(trace: str) -> str:
    """What the fault handler's trace tells; it writes none where the process is killed."""
    fault = re.match(r"Fatal Python error: (.*)", trace)
    if fault is None:
        return f"the process was killed, perhaps by the system for want of memory; {_KEPT}"
    found = _LIBRARY.search(trace)
    library = "a library" if found is None else found[1]
    return f"{library} ended the process ({fault[1]}), which tinyint cannot prevent; {_KEPT}; {_WAY_OUT}"


def _say(message: str) -> None:
    from tinyint.cli.screen import Screen

    Screen(json="--json" in sys.argv).fail(message)
    sys.stdout.flush()
