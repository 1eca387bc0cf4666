"""The module that is trained: the float graph's steps with quantizers between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import onnx_ir as ir
import torch
from torch import Tensor, nn

from tinyint.calibrate import CalibrationRecord
from tinyint.errors import RecipeError
from tinyint.plan import Plan, Use
from tinyint.qat.distill import distillation_loss
from tinyint.qat.module import GraphModule
from tinyint.qat.quantizers import ActivationQuantizer
from tinyint.qat.rewrite import rewrite
from tinyint.qat.settings import QatSettings
from tinyint.qat.tracking import RangeTracker
from tinyint.qat.weights import WeightQuantizer
from tinyint.recipe import Recipe
from tinyint.targets import Target

__all__ = ["Origin", "QatModule"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Origin:
    """What a module was made from; copies of the module share it.

    * `prepared`: the float graph, with the weights from before training
    * `fingerprint`: of the float model before preparation, as in the record
    """

    prepared: ir.Model
    fingerprint: str
    plan: Plan
    record: CalibrationRecord
    target: Target
    recipe: Recipe
    settings: QatSettings

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class QatModule(GraphModule):
    """Computes in `eval()` what the exported model computes. Made by `tinyint.qat.prepare`.

    * `activations`: the quantizer of each tensor that has one; those that share a scale share a quantizer
    * `weights`: the quantizer of each constant, by the place that reads it
    * `steps_done`: forward passes in training mode; saved in `state_dict()`
    * `teacher`: the float graph, if the settings ask for it; neither a submodule nor in `state_dict()`
    """

    def __init__(
        self,
        origin: Origin,
        activations: Mapping[str, ActivationQuantizer],
        weights: Mapping[Use, WeightQuantizer],
        tracker: RangeTracker,
    ) -> None:
        super().__init__(origin.prepared)
        self.origin = origin
        self.activations = dict(activations)
        self.weights = dict(weights)
        self.tracker = tracker
        self.quantizers = nn.ModuleDict(
            _by_path({**activations, **{f"{node}[{i}]": w for (node, i), w in weights.items()}})
        )
        self.steps = rewrite(self.steps, origin.prepared.graph, origin.plan, activations, weights)
        self.steps_done = 0
        self._teacher = [GraphModule(origin.prepared).eval()] if origin.settings.teacher else []
        self._freeze_when_due()

    def forward(self, *args: Tensor, **kwargs: Tensor) -> Any:
        """The graph's outputs, as `GraphModule`; in training mode the ranges move afterwards."""
        outputs = super().forward(*args, **kwargs)
        if self.training:
            self._advance()
        return outputs

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _advance(self) -> None:
        if not self.frozen:
            self.tracker.update()
        self.steps_done += 1
        self._freeze_when_due()

    def _freeze_when_due(self) -> None:
        due = self.origin.settings.freeze_after
        if due is not None and self.steps_done >= due and not self.frozen:
            self.freeze()

    @property
    def frozen(self) -> bool:
        """Whether the ranges of the activations, and learned scales, have stopped moving."""
        return all(quantizer.frozen for quantizer in self._all())

    def freeze(self) -> None:
        """Stops all ranges of activations and all learned scales. The scales of other weights go on to follow them."""
        for quantizer in self._all():
            quantizer.freeze()

    def _all(self) -> Iterator[ActivationQuantizer | WeightQuantizer]:
        yield from self.activations.values()
        yield from self.weights.values()

    def parameter_groups(self, *, lr: float, weight_decay: float = 0.0) -> list[dict[str, Any]]:
        """For an optimizer: the weights; biases and other vectors, without decay; and learned ranges, without decay."""
        ranges = {id(p) for p in self.quantizers.parameters()}
        groups: dict[str, list[nn.Parameter]] = {"weights": [], "vectors": [], "ranges": []}
        for parameter in self.parameters():
            kind = "ranges" if id(parameter) in ranges else "vectors" if parameter.dim() < 2 else "weights"
            groups[kind].append(parameter)
        return [
            {
                "params": params,
                "lr": lr,
                "weight_decay": weight_decay if kind == "weights" else 0.0,
                "name": kind,
            }
            for kind, params in groups.items()
            if params
        ]

    @property
    def teacher(self) -> GraphModule:
        """The float graph. Raises RecipeError if the settings do not ask for it."""
        if not self._teacher:
            raise RecipeError(
                "training: there is no float graph to learn from; prepare with QatSettings(teacher=True)"
            )
        return self._teacher[0]

    def distillation_loss(self, outputs: Any, *args: Tensor, **kwargs: Tensor) -> Tensor:
        """How far `outputs`, which this module made of these inputs, are from the float graph's; see `distill`."""
        with torch.no_grad():
            targets = self.teacher(*args, **kwargs)
        return distillation_loss(outputs, targets)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        for teacher in self._teacher:
            teacher._apply(fn, recurse)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def get_extra_state(self) -> dict[str, Any]:
        return {"steps_done": self.steps_done, "frozen": self.frozen, "fingerprint": self.origin.fingerprint}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        if state["fingerprint"] != self.origin.fingerprint:
            raise RecipeError(
                f"the state is of another model: its fingerprint is {state['fingerprint'][:12]}…, this model's "
                f"is {self.origin.fingerprint[:12]}…; load a state that was saved with this model"
            )
        self.steps_done = int(state["steps_done"])
        for quantizer in self._all():
            quantizer.frozen = bool(state["frozen"])


def _by_path(modules: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Under names that may stand in the path of a module; one that stands under several names keeps the first."""
    found: dict[str, nn.Module] = {}
    for name, module in modules.items():
        if any(module is other for other in found.values()):
            continue
        path = name.replace(".", "_") or "_"
        while path in found:
            path += "_"
        found[path] = module
    return found
