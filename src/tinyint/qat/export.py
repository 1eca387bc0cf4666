"""Trained module → int8 model: trained values go back into the float graph."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import nn

from tinyint.errors import DivergedError, TargetError, TinyintWarning
from tinyint.graph.names import name_of
from tinyint.graph.passes.unused import drop_unused_constants
from tinyint.graph.walk import constant_of
from tinyint.metadata import TRAINED_FOR
from tinyint.numbers.numerics import (
    Constant,
    QParams,
    bias_params,
    dead_channels,
    fit_bias,
    qparams_from_range,
)
from tinyint.qat.qat_module import QatModule
from tinyint.quantization.plan import Plan, Use, plan
from tinyint.quantization.qdq import insert
from tinyint.quantization.qparams import Assignment, assign_qparams, constant_params, input_tensor, with_codes
from tinyint.quantization.repair import Quantization, repair_parameters
from tinyint.quantization.signature import sign
from tinyint.targets import Target, get_target

__all__ = ["export", "to_float"]


def export(module: QatModule, *, target: str | Target | None = None) -> ir.Model:
    """Int8 model of the function of `module.eval()`.

    Save it with `graph.io.save_model`.

    Without `target`, for the one that the module was trained for. For another one, what was trained is taken over
    where both quantize alike, and the rest follows from the trained ranges, or else the calibrated ones; a
    TinyintWarning says what differs. Raises DivergedError for a module that holds NaN or infinity, and TargetError for
    one of pixels, whose codes would be others.
    """
    _require_finite(module)
    origin = module.origin
    trained = to_float(module)
    wanted = target if isinstance(target, Target) else get_target(target or origin.target.name)
    own = _own(module, trained)
    state = Quantization(graph=trained, plan=origin.plan, record=origin.record, assignment=own)
    if origin.pixels is not None:
        _require_same_codes(origin.target, wanted)
    if wanted.name != origin.target.name:  # for its own, the steps on parameters came before the training
        state, _ = repair_parameters(_adapted(module, state, wanted), origin.recipe)
    model = insert(state.graph, state.plan, state.assignment)
    drop_unused_constants(model)
    sign(
        model,
        method="static",
        target=wanted,
        recipe=origin.recipe,
        float_nodes=state.plan.float_nodes,
        record=origin.record,
    )
    model.metadata_props[TRAINED_FOR] = origin.target.name
    return model


def _require_same_codes(own: Target, wanted: Target) -> None:
    """Raises TargetError for a target with other codes of pixels."""
    if (own.activation.symmetric, own.reads_bytes) != (wanted.activation.symmetric, wanted.reads_bytes):
        raise TargetError(
            f"the module was trained on pixels as the codes of {own.name}, and those of {wanted.name} are others: "
            "prepare it for that target, or without fold_preprocessing"
        )


def _require_finite(module: QatModule) -> None:
    for name, parameter in module.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise DivergedError(
                f"{name} holds NaN or infinity: the training has diverged; go back to an earlier state, and lower the "
                "learning rate"
            )


def to_float(module: QatModule) -> ir.Model:
    """Prepared float graph with trained parameters, batch norms folded.

    As they are in `module.eval()`.
    """
    model = module.origin.prepared.clone()
    for name, tensor in _trained(module).items():
        value = model.graph.initializers.get(name)
        if value is not None:
            value.const_value = ir.tensor(_array(tensor, value), name=name)
    return model


@torch.no_grad()
def _trained(module: QatModule) -> dict[str, torch.Tensor]:
    """What has changed in training, by the names of the prepared graph."""
    held = module.constants()
    found: dict[str, torch.Tensor] = {n: t for n, t in held.items() if isinstance(t, nn.Parameter)}
    for norm in module.origin.norms:
        statistics = [held[name] for name in norm.statistics]
        if norm.weight is None or norm.bias is None:
            found.update(zip(norm.statistics, statistics, strict=True))
            continue
        bias = held[norm.bias] if norm.own_bias else None
        found[norm.weight], found[norm.bias], _ = norm.fold([held[norm.weight], bias, *statistics])
    return found


def _array(tensor: torch.Tensor, value: ir.Value) -> NDArray[Any]:
    assert value.dtype is not None
    array: NDArray[Any] = tensor.detach().float().cpu().numpy().astype(value.dtype.numpy())
    return array


def _own(module: QatModule, trained: ir.Model) -> Assignment:
    """The parameters, and the codes of constants, that the module's quantizers compute with."""
    planned = module.origin.plan
    tensors = {name: module.activations[name].qparams() for name in planned.tensors}
    nodes = {name_of(node): node for node in trained.graph}
    biases = {weight: use for use, weight in planned.bias_weights.items()}
    constants: dict[Use, Constant] = {}
    for use, quantizer in module.weights.items():
        weight, bias_use = _tensor(nodes, use), biases.get(use)
        if bias_use is None:
            params = quantizer.qparams(weight)
        else:
            input_scale = tensors[input_tensor(nodes[use[0]], planned.tensors)].scale
            params = quantizer.qparams(weight, _tensor(nodes, bias_use), torch.tensor(input_scale))
        constants[use] = Constant(params=params, codes=copy.deepcopy(quantizer).cpu().codes(weight, params))
        if bias_use is not None:
            constants[bias_use] = Constant(params=bias_params(input_scale, params.scale))
    return Assignment(tensors=tensors, constants=constants)


def _tensor(nodes: dict[str, ir.Node], use: Use) -> torch.Tensor:
    array = constant_of(nodes[use[0]].inputs[use[1]])
    assert array is not None
    return torch.tensor(array.astype(np.float32))


def _adapted(module: QatModule, state: Quantization, target: Target) -> Quantization:
    """For another target, with the trained parameters wherever its schemes are the same."""
    origin, trained, own = module.origin, state.graph, state.assignment
    planned = plan(trained, target, origin.recipe, origin.record)
    assignment = assign_qparams(trained, planned, origin.record, origin.recipe.range_method)
    kept, changed = _trained_activations(module, planned, own)
    tensors = {**assignment.tensors, **kept, **changed}
    untrained = [name for name in planned.tensors if name not in kept and name not in changed]
    warnings.warn(
        f"the module was trained for {origin.target.name} and is exported for {target.name}: "
        f"{len(kept)} of {len(tensors)} tensors keep their trained scales, "
        f"{len(changed)} keep trained ranges in another form{_some(list(changed))}, and {len(untrained)} have "
        f"calibrated ranges{_some(untrained)}; evaluate the result before it is used",
        TinyintWarning,
        stacklevel=3,
    )
    constants = _constants(module, trained, planned, own, tensors)
    return replace(state, plan=planned, assignment=Assignment(tensors=tensors, constants=constants))


def _trained_activations(
    module: QatModule, planned: Plan, own: Assignment
) -> tuple[dict[str, QParams], dict[str, QParams]]:
    """Parameters of trained tensors: those kept, and ranges for other schemes."""
    kept, changed = {}, {}
    for group in dict.fromkeys(tensor.group for tensor in planned.tensors.values()):
        names = [name for name, tensor in planned.tensors.items() if tensor.group == group]
        known = [name for name in names if name in own.tensors]
        if not known:
            continue
        quantizers = {id(module.activations[name]): module.activations[name] for name in known}
        trained_as = module.activations[known[0]].scheme if len(quantizers) == 1 else None
        for name in names:
            scheme = planned.tensors[name].scheme
            if scheme == trained_as:
                kept[name] = own.tensors[known[0]]
            else:
                lo, hi = zip(*(own.tensors[each].range() for each in known), strict=True)
                changed[name] = qparams_from_range(
                    np.min(lo), np.max(hi), qtype=scheme.qtype, symmetric=scheme.symmetric
                )
    return kept, changed


def _some(names: list[str]) -> str:
    return f" (such as {names[0]!r})" if names else ""


def _constants(
    module: QatModule, trained: ir.Model, planned: Plan, own: Assignment, tensors: Mapping[str, QParams]
) -> dict[Use, Constant]:
    """Of another target's plan: the trained scales and codes where it stores them alike, and the biases that follow."""
    nodes = {name_of(node): node for node in trained.graph}
    params = constant_params(nodes, planned.constants, tensors)
    for use in params:
        if _stored_alike(module, planned, use):
            params[use] = own.constants[use].params
    for use, weight_use in planned.bias_weights.items():
        scale = tensors[input_tensor(nodes[weight_use[0]], planned.tensors)].scale
        weight = params[weight_use]
        dead = dead_channels(_tensor(nodes, weight_use).numpy(), weight.axis)
        fitted = fit_bias(_tensor(nodes, use).numpy(), scale, weight.scale, dead)
        params[weight_use] = replace(weight, scale=fitted)
        params[use] = bias_params(scale, fitted)
    constants = with_codes(nodes, planned.constants, params, tensors)
    for use, trained_constant in own.constants.items():
        if _stored_alike(module, planned, use) and constants[use].params == trained_constant.params:
            constants[use] = trained_constant
    return constants


def _stored_alike(module: QatModule, planned: Plan, use: Use) -> bool:
    """Whether the codes that were trained serve the plan: of the same format, and within its limit on pairs."""
    before, now = module.origin.plan.constants.get(use), planned.constants.get(use)
    if before is None or now is None:
        return False
    return before.scheme == now.scheme and now.packings in (None, before.packings)
