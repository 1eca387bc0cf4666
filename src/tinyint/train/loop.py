"""The training loop: one for float training and QAT, for one device and several."""

from __future__ import annotations

import dataclasses
import math
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from tinyint.data import Declaration
from tinyint.errors import DivergedError, ModelError
from tinyint.files import refusals
from tinyint.proof.agreement import Agreement
from tinyint.qat import QatModule, reestimate
from tinyint.train.checkpoint import Checkpoint, save_checkpoint
from tinyint.train.config import TrainingConfig
from tinyint.train.data import Batch, InOrder, LabelCheck, Shuffled, Slices, read_batches
from tinyint.train.items import Items
from tinyint.train.metrics import has_metrics, save_metrics, saved_proof
from tinyint.train.probe import probe
from tinyint.train.reading import dump_config
from tinyint.train.schedule import learning_rate, make_optimizer
from tinyint.train.trainee import BEST_MODEL, Trainee
from tinyint.train.validation import Validation
from tinyint.train.watch import Outcome, Status, ValidationResult, Watcher

__all__ = ["Trainer"]

_SHOWN = 64  # samples on which an int8 model is held against the module


@dataclass(frozen=True, kw_only=True, eq=False)
class Trainer:
    """`classes`: their names, if known; `start`: the checkpoint to go on from, if any.

    `elsewhere`: that is not the last one of this directory, whose best model may be another run's; the best is chosen
    anew. The models that are written say what they are for, and the `preprocessing` of files.
    """

    fabric: Fabric
    config: TrainingConfig
    trainee: Trainee
    train: Items
    val: Items | None
    classes: tuple[str, ...] | None
    preprocessing: Declaration | None
    watcher: Watcher
    start: Checkpoint | None
    elsewhere: bool = False

    def run(self) -> Outcome:
        """Trains to the end. Raises DataError, ModelError, OutputError, DivergedError."""
        with _random_numbers_kept():
            return _Run(self).run()


class _Run:
    """The state of a run; see `Trainer`."""

    def __init__(self, given: Trainer) -> None:
        self.given, self.config, self.fabric = given, given.config, given.fabric
        self.module = given.trainee.module
        self.directory = Path(given.config.save_dir)
        self.iters = given.config.iterations(len(given.train))
        self.teacher = given.trainee.teacher
        if self.teacher is not None:
            self.teacher = self.fabric.to_device(self.teacher.eval().requires_grad_(False))
        self.objective, self.check, notices = probe(self.fabric, self.config, given.trainee, given.train)
        for notice in notices if self.fabric.is_global_zero and given.start is None else ():
            given.watcher.notice(notice)
        self.optimizer_of_torch = make_optimizer(self.module, self.config.optimizer)
        self.model, self.optimizer = self.fabric.setup(self.module, self.optimizer_of_torch)
        self.best: ValidationResult | None = None
        self.proof: Agreement | None = None
        self.wrote = False  # whether the best model is this process's, and `proof` of it
        self.done = self._restore(given.start) if given.start else 0
        self.sum, self.summed = torch.zeros((), device=self.fabric.device), 0
        self.mean_loss = math.nan

    def run(self) -> Outcome:
        began, first, config = time.monotonic(), self.done, self.config
        if first == 0 and isinstance(self.module, QatModule):
            self._evaluate()  # the calibrated model: what training starts from, and may not surpass
        mark = (began, first)
        for batch in self._batches(first):
            self._step(batch)
            if self.done % config.log_interval == 0 or self.done == self.iters:
                mark = self._report(began, first, mark)
            if self._is_due(config.eval_interval):
                self._evaluate()
            if self._is_due(config.save_interval):
                self._save()
        lost = not has_metrics(self.directory / BEST_MODEL)
        if first < self.iters or lost:
            self._conclude(lost)
        return Outcome(
            best_model=str(self.directory / BEST_MODEL),
            best=self.best,
            iterations=self.iters,
            resumed_at=first,
            loss=self.mean_loss,
            seconds=time.monotonic() - began,
            proof=self.proof if self.wrote else saved_proof(self.directory / BEST_MODEL),
        )

    def _is_due(self, interval: int) -> bool:
        """Whether what is done every `interval` iterations, if at all, is now."""
        return interval > 0 and self.done % interval == 0

    def _conclude(self, lost: bool) -> None:
        """What the last iteration has not done already; `lost`: there is no best model."""
        if lost or not self._is_due(self.config.eval_interval):
            self._evaluate()
        if self.given.val is None:
            self._require_finite()
            with self._settled():
                self._write_best({"iteration": self.done, "loss": self.mean_loss})
        if not self._is_due(self.config.save_interval):
            self._save()

    def _batches(self, first: int) -> Iterator[Batch]:
        config = self.config
        stream = Shuffled(self.given.train, config.seed, config.data.augment, self.objective.ignored)
        fabric = self.fabric
        slices = Slices(first, self.iters, config.batch_size, fabric.global_rank, fabric.world_size)
        return read_batches(stream, slices, config.workers, check=self.check)

    def _step(self, batch: Batch) -> None:
        config = self.config
        rate = learning_rate(self.done, self.iters, config.optimizer.learning_rate, config.schedule)
        for group in self.optimizer_of_torch.param_groups:
            group["lr"] = rate
        _seed(config.seed, self.done, self.fabric.global_rank)
        self.model.train()
        inputs, labels = self._on_device(batch)
        loss = self.objective.loss(self.model(*inputs), labels, self._taught(inputs))
        self.fabric.backward(loss)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.sum, self.summed = self.sum + loss.detach(), self.summed + 1
        self.done += 1

    def _report(self, began: float, first: int, mark: tuple[float, int]) -> tuple[float, int]:
        self.mean_loss = float(self._reduced(self.sum, "mean")) / max(self.summed, 1)
        self.sum, self.summed = torch.zeros_like(self.sum), 0
        if not math.isfinite(self.mean_loss):
            self._diverged()
        now, config = time.monotonic(), self.config
        since, before = mark
        if self.fabric.is_global_zero:
            status = Status(
                iteration=self.done,
                iters=self.iters,
                loss=self.mean_loss,
                learning_rate=self.optimizer_of_torch.param_groups[0]["lr"],
                samples_per_second=(self.done - before) * config.batch_size / max(now - since, 1e-9),
                seconds_left=(self.iters - self.done) * (now - began) / (self.done - first),
            )
            self.given.watcher.status(status)
        return now, self.done

    @torch.no_grad()
    def _evaluate(self) -> None:
        """On all validation data, in 32 bits as the exported model computes; keeps the model if it is the best."""
        if self.given.val is None:
            return
        self._require_finite()
        with self._settled():
            self._evaluate_on(self.given.val)

    def _evaluate_on(self, val: Items) -> None:
        self.module.eval()
        count, size = len(val), self.config.batch_size
        fabric = self.fabric
        slices = Slices(0, -(-count // size), size, fabric.global_rank, fabric.world_size, end=count)
        seen = Validation(self.objective)
        for batch in read_batches(InOrder(val), slices, self.config.workers, check=self.check):
            inputs, labels = self._on_device(batch)
            outputs, targets = self.module(*inputs), self._taught(inputs)
            seen.add(batch, outputs, targets, float(self.objective.loss(outputs, labels, targets)))
        seen = seen.joined()
        metrics = seen.metrics()
        metric, value = next(iter(metrics.items()))
        assert value is not None
        found = ValidationResult(
            iteration=self.done,
            loss=seen.loss,
            metric=metric,
            value=value,
            metrics=metrics,
            best=self.best is None or (value, -seen.loss) > (self.best.value, -self.best.loss),
        )
        if found.best:
            self.best = found
            self._write_best({"iteration": found.iteration, "loss": found.loss, **metrics})
        if self.fabric.is_global_zero:
            self.given.watcher.evaluation(found)

    @contextmanager
    def _settled(self) -> Iterator[None]:
        """Context with re-estimated batch norm statistics, as exported.

        From the first batches of the training data; training then goes on with those that it had.
        """
        module, config, fabric = self.module, self.config, self.fabric
        if not isinstance(module, QatModule) or module.statistics_frozen:
            yield
            return
        kept = [statistic.clone() for statistic in module.statistics()]
        stream = Shuffled(self.given.train, config.seed, config.data.augment, self.objective.ignored)
        count = module.origin.settings.reestimation_batches
        slices = Slices(0, count, config.batch_size, fabric.global_rank, fabric.world_size)
        unlabelled = LabelCheck(needed=False, classes=0)
        reestimate(module, (b.inputs for b in read_batches(stream, slices, config.workers, check=unlabelled)))
        try:
            yield
        finally:
            for statistic, before in zip(module.statistics(), kept, strict=True):
                statistic.copy_(before)

    def _write_best(self, metrics: Mapping[str, Any]) -> None:
        if self.fabric.is_global_zero:
            directory = self.directory / BEST_MODEL
            with refusals(directory):
                directory.mkdir(exist_ok=True)
            training = self.module.training
            items = self.given.train if self.given.val is None else self.given.val
            shown = (items[i] for i in range(min(len(items), _SHOWN)))
            self.proof = self.given.trainee.write(directory, shown, self._metadata())
            self.module.train(training)
            save_metrics(directory, metrics, self.proof)
        self.wrote = True
        self.fabric.barrier()

    def _metadata(self) -> dict[str, str]:
        given, task = self.given, self.objective.task
        if given.classes is not None and len(given.classes) == self.check.classes:
            task = task.model_copy(update={"classes": given.classes})
        declared = {} if given.preprocessing is None else given.preprocessing.to_metadata()
        return {**task.to_metadata(), **declared}

    def _save(self) -> None:
        self._require_finite()
        if not self.fabric.is_global_zero:
            return
        checkpoint = Checkpoint(
            iteration=self.done,
            identity=self.given.trainee.identity,
            config=dump_config(self.config),
            module=self.module.state_dict(),
            optimizer=self.optimizer_of_torch.state_dict(),
            precision=self.fabric.strategy.precision.state_dict(),
            best=dataclasses.asdict(self.best) if self.best else None,
        )
        save_checkpoint(checkpoint, self.directory, self.config.keep_checkpoints)

    def _restore(self, checkpoint: Checkpoint) -> int:
        try:
            self.module.load_state_dict(checkpoint.module)
            self.optimizer_of_torch.load_state_dict(dict(checkpoint.optimizer))
            _require_state(self.optimizer_of_torch)
            self.fabric.strategy.precision.load_state_dict(dict(checkpoint.precision))
            if not self.given.elsewhere and has_metrics(self.directory / BEST_MODEL):
                self.best = ValidationResult(**checkpoint.best) if checkpoint.best else None
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
            reason = str(error).partition("\n")[0]
            raise ModelError(
                f"the checkpoint in '{self.directory}' does not fit this run: {reason}; choose another save_dir"
            ) from None
        return checkpoint.iteration

    def _require_finite(self) -> None:
        """Raises DivergedError, on all devices alike."""
        finite = torch.stack([torch.isfinite(p).all() for p in self.module.parameters()]).all()
        finite = finite & torch.isfinite(self.sum)
        if float(self._reduced(finite.float(), "mean")) < 1:
            self._diverged()

    def _reduced(self, tensor: Tensor, how: str) -> Tensor:
        """The mean or sum over all devices."""
        result = self.fabric.all_reduce(tensor, reduce_op=how)
        assert isinstance(result, Tensor)
        return result

    def _diverged(self) -> None:
        rate = self.optimizer_of_torch.param_groups[0]["lr"]
        raise DivergedError(
            f"the loss became NaN or infinite by iteration {self.done}, at a learning rate of {rate:.3g}; the last "
            f"checkpoint and best model in '{self.directory}' are kept as they were. Lower optimizer.learning_rate or "
            "add schedule.warmup, then go on with --resume"
        )

    @torch.no_grad()
    def _taught(self, inputs: list[Tensor]) -> Any:
        return None if self.teacher is None else self.teacher(*inputs)

    def _on_device(self, batch: Batch) -> tuple[list[Tensor], Any]:
        """The inputs in the model's order, and the labels; boxes stay what they are."""
        inputs = [self.fabric.to_device(batch.inputs[spec.name]) for spec in self.given.trainee.inputs]
        labels = batch.labels
        return inputs, self.fabric.to_device(labels) if isinstance(labels, Tensor) else labels


def _seed(seed: int, iteration: int, rank: int) -> None:
    """Random numbers are a function of the position, so that a run which is resumed draws the same ones."""
    number = int(np.random.SeedSequence((seed, 2, iteration, rank)).generate_state(1)[0])
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002  the user's modules may draw from it
    torch.manual_seed(number)


@contextmanager
def _random_numbers_kept() -> Iterator[None]:
    """Afterwards the process draws the numbers that it would have drawn."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def _require_state(optimizer: torch.optim.Optimizer) -> None:
    """Raises ValueError for impossible optimizer states, which torch would accept."""
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                fits, kind = (
                    value.dim() == 0 or value.shape == parameter.shape,
                    f"of shape {tuple(value.shape)}",
                )
            else:  # SGD without momentum has no buffer
                fits, kind = value is None and key == "momentum_buffer", f"a {type(value).__name__}"
            if not fits:
                shape = tuple(parameter.shape)
                raise ValueError(f"the optimizer's {key!r} of a parameter of shape {shape} is {kind}")
