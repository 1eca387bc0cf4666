"""A runtime without a model: it writes down every call."""

# ruff: noqa: ARG002, ARG005

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tinyint.errors import DependencyError
from tinyint.graph.source import ModelSource
from tinyint.runtimes.base import Array, Executed, Feeds, LayerTime, Precision, TensorSpec, check_feeds


@dataclass
class FakeSession:
    inputs: tuple[TensorSpec, ...]
    called: Callable[[Feeds], None]
    outputs: tuple[str, ...] = ("y",)
    precision: Precision = "float32"

    def run(self, feeds: Feeds) -> dict[str, Array]:
        check_feeds(self.inputs, feeds)
        self.called(feeds)
        return {"y": next(iter(feeds.values()))}

    run_transient = run


@dataclass
class FakeRuntime:
    """`calls` holds (model, feeds) in the order of the runs; `on_call` may move a clock."""

    shape: tuple[int | None, ...] = (None, 3)
    dtype: str = "float32"
    on_call: Callable[[str], None] = lambda model: None
    calls: list[tuple[str, Feeds]] = field(default_factory=list)
    name: str = "fake"
    safe: bool = True

    def available(self) -> str | None:
        return "1.0"

    def most_threads(self) -> int | None:
        return None

    def absent(self) -> DependencyError:
        return DependencyError(f"{self.name} is not installed")

    def open(
        self,
        model: ModelSource,
        *,
        threads: int | None = None,
        optimize: bool = True,
        precision: Precision | None = None,
        batch: int | None = None,
    ) -> FakeSession:
        def called(feeds: Feeds) -> None:
            self.calls.append((str(model), feeds))
            self.on_call(str(model))

        spec = TensorSpec(name="x", dtype=np.dtype(self.dtype), shape=self.shape)
        return FakeSession(inputs=(spec,), called=called, precision=precision or "float32")

    def executed(self, model: ModelSource) -> list[Executed]:
        return [Executed(name="conv", op="Conv", int8=True, detail="", sources=("conv",))]

    def profile(
        self,
        model: ModelSource,
        feeds: Feeds,
        *,
        calls: int,
        threads: int | None = None,
        precision: Precision | None = None,
    ) -> list[LayerTime]:
        return [LayerTime(name="conv", op="Conv", precision="int8", detail="", ms=float(calls))]
