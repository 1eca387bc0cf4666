"""Learning rate as a function of the iteration alone, without state."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Any

import torch
from torch import nn

from tinyint.qat.qat_module import QatModule
from tinyint.train.config import OptimizerPart, SchedulePart

__all__ = ["learning_rate", "make_optimizer"]


def learning_rate(iteration: int, iters: int, peak: float, schedule: SchedulePart) -> float:
    """Of iteration 0, …, iters - 1.

    It rises linearly to the peak, which iteration `warmup` has first. Then, with t of T iterations after the warm-up:
    cosine is peak·(1 + cos(π·t/T))/2, step is peak·factor^⌊t/step⌋, poly is (peak - end)·(1 - t/T)^power + end, and
    milestones is peak·factor^n after n of them.
    """
    if iteration < schedule.warmup:
        return peak * (iteration + 1) / (schedule.warmup + 1)
    done, whole = iteration - schedule.warmup, max(iters - schedule.warmup, 1)
    match schedule.name:
        case "cosine":
            return peak * (1 + math.cos(math.pi * done / whole)) / 2
        case "poly":
            return float((peak - schedule.end) * (1 - done / whole) ** schedule.power + schedule.end)
        case "milestones":
            return float(peak * schedule.factor ** bisect_right(schedule.milestones, iteration))
        case "step":
            return float(peak * schedule.factor ** (done // schedule.step))
    return peak


def make_optimizer(module: nn.Module, options: OptimizerPart) -> torch.optim.Optimizer:
    """Weights with two axes or more decay; biases, norms and learned scales do not."""
    if isinstance(module, QatModule):
        groups = module.parameter_groups(lr=options.learning_rate, weight_decay=options.weight_decay)
    else:
        groups = _groups(module, options.weight_decay)
    if options.name != "sgd":
        kind = torch.optim.AdamW if options.name == "adamw" else torch.optim.Adam
        return kind(groups, lr=options.learning_rate, betas=(options.momentum, 0.999))
    return torch.optim.SGD(groups, lr=options.learning_rate, momentum=options.momentum)


def _groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
