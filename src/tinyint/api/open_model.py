"""A model that is open on a runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock
from typing import Self

import numpy as np

from tinyint.errors import DataError, ModelError
from tinyint.proof.choice import Choice
from tinyint.runtimes import Feeds, Precision, Session, TensorSpec
from tinyint.runtimes.base import Array
from tinyint.runtimes.ordered import Ordered

__all__ = ["OpenModel"]


class OpenModel:
    """Loaded model, which threads may share; a context manager that closes it.

    * `inputs`, `outputs`, `precision`: as of `runtimes.base.Session`
    * `runtime`: name of the runtime that runs it
    * `choice`: how that was chosen, if it was
    """

    def __init__(
        self,
        session: Session,
        runtime: str,
        *,
        label: str,
        choice: Choice | None = None,
        streams: int = 1,
        stream: Callable[[], Session] | None = None,
    ) -> None:
        self._session: Session | None = session
        self._stream: Session | None = None
        self._loading = Lock()
        self._open_stream, self._streams = stream, streams
        self._label = label
        self.runtime, self.choice = runtime, choice
        self.inputs: tuple[TensorSpec, ...] = session.inputs
        self.outputs: tuple[str, ...] = session.outputs
        self.precision: Precision = session.precision

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Outputs by name, for an array of each input.

        The arrays of `feeds` are read where they are, and stay as they are. Those that come back are the caller's: no
        later call changes them. A sequence is a list, a map a dict. Raises DataError for feeds that do not fit,
        ModelError for what the runtime cannot run and for a closed model.
        """
        session = self._session
        return (self._alive() if session is None else session).run(feeds)

    def run_transient(self, feeds: Feeds) -> dict[str, Array]:
        """Runs the model as `run`, into arrays that the same thread's next call overwrites.

        It spares a copy on OpenVINO where outputs are large and their shapes are open.
        """
        return self._alive().run_transient(feeds)

    def map(self, feeds: Iterable[Feeds]) -> Iterator[dict[str, Array]]:
        """Outputs for each of many feeds, in their order, with the most throughput.

        As many run at once as the model has threads, in one thread each; for that, the model is loaded once more. At
        most twice as many are taken ahead, in the caller's thread, and copied. An error of `run` comes at the place of
        its feeds; the iterator can be asked on after it. Raises ModelError for a closed model.
        """
        session = self._stream_session()

        def run(each: Feeds) -> dict[str, Array]:
            self._alive()
            return session.run(each)

        return Ordered(run, map(_copied, feeds), self._streams)

    def close(self) -> None:
        """Frees the model as soon as no call runs it.

        Later calls raise ModelError; closing again does nothing.
        """
        self._session = self._stream = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stream_session(self) -> Session:
        with self._loading:
            if self._open_stream is None:
                return self._alive()
            self._alive()
            if self._stream is None:
                self._stream = self._open_stream()
            return self._stream

    def _alive(self) -> Session:
        session = self._session
        if session is None:
            raise ModelError(f"{self._label} was closed; open it again with tinyint.open")
        return session


def _copied(feeds: Feeds) -> Feeds:
    """Feeds whose arrays the iterable may use again."""
    if not isinstance(feeds, Mapping):
        raise DataError(
            f"map takes a mapping of input names to arrays for each call, got a {type(feeds).__name__}"
        )
    return {name: array.copy() if isinstance(array, np.ndarray) else array for name, array in feeds.items()}
