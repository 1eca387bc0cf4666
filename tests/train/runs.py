"""Watchers of a run, and the state that it ends in."""

from pathlib import Path

import torch

from tinyint.train.checkpoint import load_checkpoint
from tinyint.train.watch import Silent


class Notes(Silent):
    def __init__(self):
        self.notices, self.losses, self.evaluations = [], [], []

    def notice(self, message):
        self.notices.append(message)

    def status(self, status):
        self.losses.append(status.loss)

    def evaluation(self, evaluation):
        self.evaluations.append(evaluation)


class Stop(Silent):
    """Stops the run, as Ctrl-C does, when an iteration has been reached."""

    def __init__(self, at):
        self.at = at

    def status(self, status):
        if status.iteration >= self.at:
            raise KeyboardInterrupt


def state_of(folder):
    found = load_checkpoint(Path(folder))
    tensors = {f"module.{k}": v for k, v in found.module.items()}
    for i, entry in found.optimizer["state"].items():
        tensors |= {f"optimizer.{i}.{k}": v for k, v in entry.items()}
    return found.iteration, tensors


def assert_equal_state(one, other):
    (iteration, a), (same, b) = state_of(one), state_of(other)
    assert iteration == same
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]) if isinstance(value, torch.Tensor) else value == b[name], name
