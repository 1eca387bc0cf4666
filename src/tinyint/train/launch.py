"""From a config to a finished run: here, per device, or under torchrun."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import multiprocessing
from torch.multiprocessing.spawn import ProcessRaisedException

from tinyint.data import Samples, resolve_preprocessing
from tinyint.errors import ModelError, OutputError, TinyintError
from tinyint.graph.prepare import prepare_float
from tinyint.quantization.calibrated import Calibration, calibrated
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.recipe import read_yaml
from tinyint.tasks import require_labels, task_of
from tinyint.train.checkpoint import Checkpoint, checkpoints_in, load_checkpoint, prepare_directory
from tinyint.train.config import TrainingConfig
from tinyint.train.curves import Curves, require_tensorboard
from tinyint.train.items import Items, Tolerant, open_items
from tinyint.train.loop import Trainer
from tinyint.train.reading import parse_config
from tinyint.train.synced_norm import synchronize
from tinyint.train.trainee import Trainee, float_graph, float_trainee, given_model, qat_trainee
from tinyint.train.watch import Outcome, Silent, Watcher

__all__ = ["qat", "train"]

Resume: TypeAlias = bool | str | Path
"""Whether to go on from the checkpoint in save_dir, or the file or directory of another one."""

_GRACE = 10.0  # seconds that a process has to end by itself; one that waits for the others may not hear
RECORD = "float.calibration.npz"

# On import, because the processes that Fabric starts announce themselves before they call anything of ours.
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)

_FREE_ON_RESUME = {
    "save_dir",
    "workers",
    "save_interval",
    "keep_checkpoints",
    "log_interval",
    "eval_interval",
    "tensorboard",
    "devices",
}


def train(
    config: TrainingConfig, *, resume: Resume = False, watcher: Watcher | None = None
) -> Outcome | None:
    """Trains the float model of `config`; checkpoint and best_model/ appear in its save_dir.

    With `resume` the run goes on from the checkpoint there, if there is one, or from the one that it names. Started by
    torchrun, the devices are its processes, and all but the first return None. Raises any TinyintError; what was saved
    before is kept then.
    """
    return _launch(_Job(config, None, resume, watcher or Silent()))


def qat(
    config: TrainingConfig,
    model_path: str | Path | None = None,
    *,
    resume: Resume = False,
    watcher: Watcher | None = None,
) -> Outcome | None:
    """Trains a float model with fake quantization; else as `train`.

    The one at `model_path`, or the ONNX file of the config.

    `model_path` is an ONNX file, or the best_model/ directory of a float training. best_model/ gets the int8 model,
    held against the trained module in its runtime, and the float model with the trained weights.
    """
    return _launch(_Job(config, str(model_path or given_model(config)), resume, watcher or Silent()))


@dataclass(frozen=True)
class _Job:
    """`quantize`: the model that is trained with fake quantization; None: float training."""

    config: TrainingConfig
    quantize: str | None
    resume: Resume
    watcher: Watcher

    def trainee(self, fabric: Fabric) -> Trainee:
        if self.quantize is None:
            return float_trainee(self.config)
        record = Path(self.config.save_dir) / RECORD
        if fabric.is_global_zero and not (self.resume and os.path.exists(record)):
            _calibrate(self, self.quantize, record)
        fabric.barrier()
        return qat_trainee(self.config, self.quantize, CalibrationRecord.load(record))


def _calibrate(job: _Job, path: str, place: Path) -> None:
    """Saves what the ranges start from: the first samples of the training data, as they are."""
    recipe, _, _ = job.config.quantization.resolved()
    model, data = float_graph(path), job.config.data
    prepared, fingerprint = prepare_float(model, path)
    samples = Samples(data.train, preprocessing=data.preprocessing, on_error=data.on_error)
    calibration = Calibration.of(samples, model, recipe)
    info = task_of(model.metadata_props)
    if info is not None and job.config.loss.needs_labels:  # before the ranges, which take their time
        assert calibration.data is not None
        require_labels(calibration.data.label_kind, info, data.train)
    graph, record = calibrated(prepared, fingerprint, recipe, calibration)
    for note in graph.notes:
        job.watcher.notice(note)
    record.save(place)


def _launch(job: _Job) -> Outcome | None:
    directory = Path(job.config.save_dir)
    if job.config.tensorboard:
        require_tensorboard()
    existed = directory.exists()
    _check_directory(directory, job.resume)
    try:
        return _launched(job)
    except TinyintError:
        if not existed:
            with suppress(OSError):  # it holds something
                directory.rmdir()
        raise


def _launched(job: _Job) -> Outcome | None:
    config = job.config
    external = TorchElasticEnvironment.detect()
    if not external and config.devices == 1:
        fabric = _fabric(config, 1, "auto")
        fabric.launch()
        return _work(fabric, job)
    if external:
        fabric = _fabric(config, int(os.environ["LOCAL_WORLD_SIZE"]), _distributed("popen"))
        fabric.launch()
        return _work(fabric, job)
    told = multiprocessing.get_context("spawn").SimpleQueue()
    with _environment_kept(), _ended_with_parent():
        fabric = _fabric(config, config.devices, _distributed("spawn"))
        try:
            fabric.launch(partial(_tell, job=job, told=told))
        except ProcessRaisedException:
            if told.empty():
                raise
    result = told.get()
    if isinstance(result, TinyintError):
        raise result
    assert isinstance(result, Outcome)
    return result


@contextmanager
def _ended_with_parent() -> Iterator[None]:
    """Ends started processes with this one, whatever ends it.

    Python would wait for them at its exit, and nobody else tells them.
    """
    before = set(multiprocessing.active_children())
    try:
        yield
    except BaseException:
        started = [child for child in multiprocessing.active_children() if child not in before]
        for child in started:
            child.terminate()
        deadline = time.monotonic() + _GRACE
        for child in started:
            child.join(max(0.0, deadline - time.monotonic()))
            child.kill()
        raise


def _fabric(config: TrainingConfig, devices: int, strategy: Any) -> Fabric:
    precision: Any = "32-true" if config.precision == "32" else config.precision
    nodes = int(os.environ.get("GROUP_WORLD_SIZE", "1")) if strategy != "auto" else 1
    try:
        return Fabric(
            accelerator=config.accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy=strategy,
            precision=precision,
        )
    except (RuntimeError, ValueError) as error:  # Fabric's MisconfigurationException among them
        raise ModelError(
            f"cannot train on {devices} device(s) of kind {config.accelerator!r} in precision {config.precision!r}: "
            f"{error}"
        ) from error


def _distributed(start: Any) -> DDPStrategy:
    return DDPStrategy(start_method=start, broadcast_buffers=False)  # every rank computes the same ones


def _tell(fabric: Fabric, job: _Job, told: Any) -> None:
    """Sends the outcome, or the user's mistake, to the process that waits for it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that half-written files are removed
    try:
        outcome = _work(fabric, job)
    except TinyintError as error:
        told.put(error)
        raise
    if outcome is not None:
        told.put(outcome)


def _work(fabric: Fabric, job: _Job) -> Outcome | None:
    config, watcher = job.config, job.watcher
    trainee = job.trainee(fabric)
    start = _starting_point(job, trainee)
    first = fabric.is_global_zero
    started = trainee.notices if start is None else ()
    preprocessing = trainee.preprocessing
    if config.data.preprocessing is not None:
        preprocessing = resolve_preprocessing(config.data.preprocessing, {})
    read = partial(
        open_items,
        inputs=trainee.inputs,
        preprocessing=preprocessing,
        task=trainee.task,
        on_error=config.data.on_error,
    )
    opened = read(config.data.train, augmentation=config.data.augment)
    items, val, notices = opened.items, None, opened.notices
    if config.data.val is not None:
        measured = read(config.data.val)
        val, notices = measured.items, (*notices, *measured.notices)
    for notice in dict.fromkeys((*_idle(job), *started, *notices) if first else ()):
        watcher.notice(notice)
    iters = config.iterations(len(items))
    if first and start is not None:
        watcher.notice(f"going on from iteration {start.iteration} of {iters}")
    for notice in config.schedule.idle(iters) if first else ():
        watcher.notice(notice)
    if fabric.world_size > 1:
        synchronize(trainee.module)
    if config.tensorboard and first:
        watcher = Curves(watcher, Path(config.save_dir) / "tensorboard", start.iteration if start else 0)
    try:
        with _repeatable(), warnings.catch_warnings():
            # of DDP in torch 2.13, whose successor of that option earlier ones do not know
            warnings.filterwarnings("ignore", message=".*broadcast_buffers", category=FutureWarning)
            outcome = Trainer(
                fabric=fabric,
                config=config,
                trainee=trainee,
                train=items,
                val=val,
                classes=opened.classes,
                preprocessing=opened.preprocessing,
                watcher=watcher,
                start=start,
                elsewhere=not isinstance(job.resume, bool),
            ).run()
        for notice in dict.fromkeys(_skipped(fabric, items, val)):
            watcher.notice(notice)
    finally:
        watcher.close()
    return outcome if first else None


def _idle(job: _Job) -> list[str]:
    """What the config says of a network to be built, where an ONNX file is trained."""
    part = job.config.model
    given = [f"model.{key}" for key in ("arguments", "input", "pretrained") if getattr(part, key)]
    if not given or Path(part.source).suffix != ".onnx" or job.quantize not in (None, part.source):
        return []
    return [f"{' and '.join(given)} have no effect on {part.source}, which is as its file says"]


def _skipped(fabric: Fabric, *given: Items | None) -> list[str]:
    """First device's notice of the samples skipped on any."""
    tolerant = [items for items in given if isinstance(items, Tolerant)]
    if fabric.world_size > 1:
        for items in tolerant:
            parts: list[Any] = [None] * fabric.world_size
            torch.distributed.all_gather_object(parts, items.skipped)
            for part in parts:
                items.skipped.update(part)
    return [items.notice() for items in tolerant if items.skipped and fabric.is_global_zero]


def _check_directory(directory: Path, resume: Resume) -> None:
    """Raises OutputError where a run would replace the checkpoints of another one."""
    if int(os.environ.get("RANK", "0")) != 0:
        return
    prepare_directory(directory)
    if resume is True or not (there := checkpoints_in(directory)):
        return
    if resume is False or not Path(resume).resolve().is_relative_to(directory.resolve()):
        raise OutputError(
            f"'{directory}' holds the checkpoint of an earlier run: go on with it (--resume), choose another "
            f"save_dir, or delete {', '.join(map(str, there))}"
        )


def _starting_point(job: _Job, trainee: Trainee) -> Checkpoint | None:
    """The checkpoint to go on from. Raises ModelError if it is of another model or recipe."""
    if job.resume is False:
        return None
    place = Path(job.config.save_dir if job.resume is True else job.resume)
    found = load_checkpoint(place)
    if found is None and job.resume is not True:
        near = place if os.path.isdir(place) else place.parent
        there = ", ".join(map(str, checkpoints_in(near))) or "none"
        raise ModelError(f"--resume {place}: there is no such checkpoint; in '{near}' there are: {there}")
    if found is None:
        return None
    if found.identity != trainee.identity:
        raise ModelError(
            f"the checkpoint in '{place}' is of the {found.identity}, this run is the "
            f"{trainee.identity}: choose another save_dir, or delete the checkpoint"
        )
    before = parse_config(read_yaml(found.config, "the checkpoint")).model_dump()
    now = job.config.model_dump()
    changed = sorted(key for key in now if now[key] != before[key] and key not in _FREE_ON_RESUME)
    if changed:
        job.watcher.notice(
            f"these keys have changed since the checkpoint, so the run is not the one that was interrupted: "
            f"{', '.join(changed)}"
        )
    return found


@contextmanager
def _repeatable() -> Iterator[None]:
    """cuDNN's kernels are chosen by shape and not by speed on the day; bits repeat on one kind of device."""
    backend: Any = torch.backends.cudnn
    before = backend.deterministic, backend.benchmark
    backend.deterministic, backend.benchmark = True, False
    try:
        yield
    finally:
        backend.deterministic, backend.benchmark = before


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Fabric leaves the address of its processes in the environment, where a second run would find it."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
