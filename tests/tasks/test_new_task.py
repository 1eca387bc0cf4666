# ruff: noqa: ARG002
"""A task of one class, and one line that registers it: every verb knows it then."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

import tinyint
from tests.graph.build import build
from tinyint import api
from tinyint.cli.app import app
from tinyint.data import LabelKind, Sample
from tinyint.graph.io import load_model, save_model
from tinyint.numbers.numerics import Array
from tinyint.tasks import TASKS, Task, task_of
from tinyint.tasks.prediction import Prediction, Seen, single
from tinyint.tasks.scoring.scorer import Floats
from tinyint.tasks.tails import Tail, TailOptions
from tinyint.tasks.tails.builder import TailBuilder
from tinyint.train import parse_config, train

if TYPE_CHECKING:
    from torch import Tensor

    from tinyint.tasks.learning.learning import Labelled, Labels, LossOptions


class Counting(Task):
    """How many there are: a number (N, 1), of which the next whole one counts."""

    task: Literal["counting"] = "counting"

    label_kind: ClassVar = LabelKind.CLASS
    headline: ClassVar = "exact"
    tails: ClassVar = ("count",)
    entry_keys: ClassVar = frozenset({"file_name", "count"})
    gives_logits: ClassVar = False

    def scorer(self) -> CountScorer:
        return CountScorer()

    def tail(self, graph: ir.Graph, options: TailOptions) -> Tail | None:
        builder = TailBuilder()
        rounded = builder.op("Round", builder.input(graph.outputs[0].name or "", "N", 1))
        return Tail(builder.model(count=(rounded, ir.DataType.FLOAT, ("N", 1))), "count")

    def read(
        self, seen: Seen, outputs: Mapping[str, Array], present: str | None, score_threshold: float
    ) -> Prediction:
        count = round(float(single(next(iter(outputs.values())), seen)[0]))
        return Prediction(entries=[{"file_name": seen.sample.name, "count": count}])

    def learning(self) -> CountLearning:
        return CountLearning()


class CountScorer:
    classes = 1

    def __init__(self) -> None:
        self.right: list[bool] = []

    @property
    def units(self) -> int:
        return len(self.right)

    def add(self, sample: Sample, outputs: Mapping[str, Array]) -> None:
        self.right.append(round(float(next(iter(outputs.values())).item())) == int(np.asarray(sample.label)))

    def merge(self, other: Self) -> None:
        self.right += other.right

    def metrics(self) -> dict[str, float | None]:
        return {"exact": float(np.mean(self.right))}

    def per_class(self) -> list[float | None]:
        return []

    def decisions(self) -> dict[str, NDArray[np.bool_]]:
        return {"exact": np.array(self.right)}

    def resampled(self, weights: Floats) -> dict[str, Floats]:
        return {"exact": weights @ np.array(self.right, np.float64) / weights.sum(axis=1)}


class CountLearning:
    """The squared error."""

    def classes(self, outputs: Any) -> int:
        return 100

    def loss(self, outputs: Tensor, labels: Labels, options: LossOptions) -> Tensor:
        from tinyint.tasks.learning.logits import tensors_of

        return (tensors_of(outputs)[0][:, 0] - labels).square().mean()

    def judged(
        self, batch: Labelled, outputs: Any, options: LossOptions
    ) -> Iterator[tuple[Sample, Mapping[str, Array]]]:
        from tinyint.tasks.learning.logits import tensors_of

        numbers = tensors_of(outputs)[0].cpu().numpy()
        for i in range(batch.samples):
            yield batch.sample(i), {"y": numbers[i : i + 1]}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of eight zeros and ones, and a network that adds them up."""
    monkeypatch.setitem(TASKS, "counting", Counting)
    monkeypatch.chdir(tmp_path)
    text = "g (float[N,8] x) => (float[N,1] y) { y = MatMul (x, w) }"
    for name, weight in (("counter", 1.0), ("poor", 0.5)):
        model = build(text, w=np.full((8, 1), weight, np.float32))
        model.metadata_props.update(Counting().to_metadata())
        save_model(model, f"{name}.onnx")
    x = np.random.default_rng(0).integers(0, 2, (64, 8)).astype(np.float32)
    np.savez("rows.npz", x=x, labels=x.sum(axis=1).astype(np.int64))


def test_the_int8_model_is_judged_by_the_metrics_of_the_task() -> None:
    api.quantize(
        "counter.onnx",
        tinyint.Samples("rows.npz", limit=16),
        output="int8.onnx",
        run=tinyint.Run(verify=False),
    )
    assert task_of(load_model("int8.onnx").metadata_props) == Counting()
    assert api.evaluate("int8.onnx", "rows.npz").metrics == {"exact": 1.0}
    command = ["evaluate", "poor.onnx", "--data", "rows.npz", "--against", "counter.onnx"]
    shown = CliRunner().invoke(app, command).stdout
    assert "counting: 64 samples" in shown
    assert "exact: worse beyond chance" in shown


def test_it_is_exported_with_its_tail_and_predicts() -> None:
    done = api.export("counter.onnx", "deploy.onnx")
    assert (done.task, done.postprocessing, done.outputs) == ("counting", "count", ("count",))
    assert api.inspect("deploy.onnx").postprocessing == "count"
    for _ in range(2):  # the second replaces what the first wrote
        api.predict("deploy.onnx", tinyint.Samples("rows.npz", limit=2), "seen")
    counts = [entry["count"] for entry in json.loads(Path("seen/predictions.json").read_text())]
    assert counts == np.load("rows.npz")["labels"][:2].tolist()


def test_it_is_trained_by_its_loss() -> None:
    config = {
        "model": {"source": "poor.onnx"},
        "data": {"train": "rows.npz", "val": "rows.npz"},
        "optimizer": {"learning_rate": 0.1},
        "save_dir": "out",
        "batch_size": 16,
        "iters": 60,
        "eval_interval": 60,
    }
    outcome = train(parse_config(config))
    assert outcome is not None
    assert outcome.best is not None
    assert (outcome.best.metric, outcome.best.value) == ("exact", 1.0)
    assert api.evaluate("poor.onnx", "rows.npz").metrics["exact"] < 0.1
    assert api.evaluate("out/best_model/model.onnx", "rows.npz").metrics == {"exact": 1.0}
