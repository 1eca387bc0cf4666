"""Probe of model, data and loss on the first samples, before training."""

from __future__ import annotations

import copy
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from tinyint.data import LabelKind
from tinyint.errors import DataError, ModelError
from tinyint.qat import GraphModule, QatModule
from tinyint.tasks import Task, infer_task, require_labels
from tinyint.tasks.learning.logits import logits_of, tensors_of
from tinyint.train.config import TrainingConfig
from tinyint.train.data import InOrder, LabelCheck, Slices, read_batches
from tinyint.train.items import Items
from tinyint.train.objective import Objective
from tinyint.train.trainee import Trainee, without_gradient

__all__ = ["probe"]

_PROBED = 2  # samples; one would hide a batch axis that is fixed


def probe(
    fabric: Fabric, config: TrainingConfig, trainee: Trainee, items: Items
) -> tuple[Objective, LabelCheck, list[str]]:
    """Objective, label check by the task, and notes for the user.

    A model that does not say its task is for segmentation if it gives maps of logits, else for classification.
    Parameters that no gradient reaches are taken out of the training. Raises DataError for data that do not fit the
    model, ModelError for outputs that cannot be trained, RecipeError for a loss that does not go with the task.
    """
    module = fabric.to_device(trainee.module).eval()
    inputs = _first_inputs(fabric, config, trainee, items)
    try:
        outputs = module(*inputs)
    except (RuntimeError, IndexError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        shapes = {spec.name: list(tensor.shape) for spec, tensor in zip(trainee.inputs, inputs, strict=True)}
        raise DataError(f"the model fails on a batch of the training data, {shapes}: {reason}") from error
    objective = Objective(config.loss, trainee.task or _task_of(outputs))
    used = objective.used(outputs)
    if not any(tensor.requires_grad for tensor in used):
        cut = without_gradient(module, inputs) if isinstance(module, GraphModule) else None
        raise ModelError(
            f"no gradient reaches the model's weights from its output: {cut or 'what computes it'} has none; "
            "export the model with the logits as output"
        )
    if fabric.world_size > 1:
        _exclude_unused(module, objective, inputs)
    return objective, _label_check(objective, outputs, items), _idle(objective, outputs, module)


def _idle(objective: Objective, outputs: Any, module: nn.Module) -> list[str]:
    """A graph gives in training what it gives here; a network of torch's may add its auxiliary heads."""
    asked = "auxiliary" in objective.options.model_fields_set
    if not asked or not isinstance(module, GraphModule | QatModule) or not objective.needs_logits:
        return []
    logits = logits_of(outputs)
    if any(other.shape == logits.shape for other in tensors_of(outputs)[1:]):
        return []
    return [
        "loss.auxiliary has no effect: the model has no auxiliary outputs, which networks of the zoo have in float "
        "training alone; it learns by its logits"
    ]


def _first_inputs(fabric: Fabric, config: TrainingConfig, trainee: Trainee, items: Items) -> list[Tensor]:
    slices = Slices(0, 1, min(_PROBED, config.batch_size), end=len(items))
    batch = next(iter(read_batches(InOrder(items), slices, 0, LabelCheck(needed=False, classes=0))))
    return [fabric.to_device(batch.inputs[spec.name]) for spec in trainee.inputs]


def _task_of(outputs: Any) -> Task:
    first = tensors_of(outputs)[0].detach().cpu()
    return infer_task(None, {"output": (first.float() if first.is_floating_point() else first).numpy()})


def _label_check(objective: Objective, outputs: Any, items: Items) -> LabelCheck:
    if not objective.options.needs_labels:
        return LabelCheck(needed=False, classes=0)
    task = objective.task
    check = LabelCheck(
        needed=True, classes=objective.learning.classes(outputs), ignored=objective.ignored, task=task
    )
    sample = items[0]
    if sample.label is not None:
        require_labels(LabelKind.of(sample.label), task, sample.name)
    check(sample)
    return check


def _exclude_unused(module: nn.Module, objective: Objective, inputs: list[Tensor]) -> None:
    """Freezes the parameters that no gradient reaches; with several devices each would be waited for."""
    trial = copy.deepcopy(module).train()
    outputs = trial(*inputs)
    total = torch.stack([tensor.float().sum() for tensor in objective.trained(outputs)]).sum()
    total.backward()  # type: ignore[no-untyped-call]
    for own, tried in zip(module.parameters(), trial.parameters(), strict=True):
        if tried.grad is None:
            own.requires_grad_(False)
