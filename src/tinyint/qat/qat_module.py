"""The module that is trained: the float graph's steps with quantizers between them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import onnx_ir as ir
import torch
from torch import Tensor, nn

from tinyint.errors import RecipeError
from tinyint.qat.batch_norm.unfolding import Norm, norm_modules, with_norms
from tinyint.qat.distill import distillation_loss
from tinyint.qat.kernels.fuse import fuse
from tinyint.qat.pixels import nearest_pixels
from tinyint.qat.placement import rewrite
from tinyint.qat.quantizers.activations import ActivationQuantizer
from tinyint.qat.quantizers.tracking import RangeTracker
from tinyint.qat.quantizers.weights import WeightQuantizer
from tinyint.qat.settings import QatSettings
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.pixels import PixelInput
from tinyint.quantization.plan import Plan, Use
from tinyint.quantization.recipe import Recipe
from tinyint.targets import Target
from tinyint.torch_graph.module import GraphModule
from tinyint.torch_graph.program import Program, compile_graph

__all__ = ["Origin", "QatModule"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Origin:
    """Sources of a module, shared by its copies.

    * `prepared`: the float graph that is quantized, with the weights from before training
    * `trained`: the same with the batch norms that are trained in it; without any, the same one
    * `norms`: those batch norms
    * `teacher`: the float graph as it is without folded preprocessing
    * `fingerprint`: of the float model before preparation, as in the record
    * `pixels`: the input whose preprocessing is folded in, if it is
    """

    prepared: ir.Model
    trained: ir.Model
    teacher: ir.Model
    norms: tuple[Norm, ...]
    fingerprint: str
    plan: Plan
    record: CalibrationRecord
    target: Target
    recipe: Recipe
    settings: QatSettings
    pixels: PixelInput | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class QatModule(GraphModule):
    """Trainable module; `eval()` computes as its exported model in the runtime.

    Made by `tinyint.qat.prepare`.

    * `activations`: the quantizer of each tensor that has one; those that share a scale share a quantizer
    * `weights`: the quantizer of each constant, by the place that reads it
    * `norms`: the batch norms that are trained, by the names of their nodes
    * `steps_done`: forward passes in training mode; saved in `state_dict()`
    * `teacher`: the float graph, if the settings ask for it; neither a submodule nor in `state_dict()`
    """

    reserved = frozenset(
        {"activations", "batch_norms", "norms", "origin", "quantizers", "steps_done", "tracker", "weights"}
    )

    def __init__(
        self,
        origin: Origin,
        activations: Mapping[str, ActivationQuantizer],
        weights: Mapping[Use, WeightQuantizer],
        tracker: RangeTracker,
    ) -> None:
        super().__init__(origin.trained)
        self.origin = origin
        self.activations = dict(activations)
        self.weights = dict(weights)
        self.tracker = tracker
        self.quantizers = nn.ModuleDict(
            _by_path({**activations, **{f"{node}[{i}]": w for (node, i), w in weights.items()}})
        )
        self.norms = norm_modules(origin.norms)
        self.batch_norms = nn.ModuleDict(_by_path(self.norms))
        graph = origin.prepared.graph
        steps = rewrite(compile_graph(graph), graph, origin.plan, activations, weights)
        self.steps = tuple(with_norms(steps, origin.norms, self.norms))
        fused = with_norms(fuse(steps, graph, origin.target), origin.norms, self.norms)
        self._programs["evaluation"] = Program.of(fused, self.output_names)
        self.steps_done = 0
        self._teacher = [GraphModule(origin.teacher).eval()] if origin.settings.teacher else []
        self._freeze_when_due()

    def forward(self, *args: Tensor, **kwargs: Tensor) -> Any:
        """The graph's outputs, as `GraphModule`; in training mode the ranges move afterwards.

        With folded preprocessing, the input is pixels, uint8 (N, H, W, C), or preprocessed images, which become the
        nearest pixels.
        """
        outputs = super().forward(*args, **kwargs)
        if self.training:
            self._advance()
        return outputs

    def _bind(self, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> dict[str, Tensor]:
        bound, pixels = super()._bind(args, kwargs), self.origin.pixels
        if pixels is None:
            return bound
        declared = pixels.preprocessing
        return {n: nearest_pixels(x, declared) if x.is_floating_point() else x for n, x in bound.items()}

    def _mode(self) -> str:
        as_trained = self.training or any(norm.estimating for norm in self.norms.values())
        return "training" if as_trained else "evaluation"

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _advance(self) -> None:
        if not self.frozen:
            self.tracker.update()
        self._follow()
        self.steps_done += 1
        self._freeze_when_due()

    @torch.no_grad()
    def _follow(self) -> None:
        """Moves the running statistics of batch norms. They become new tensors, as the gradient of a compiled step
        still needs the old ones."""
        held = self.constants() if self.norms else {}
        for norm in self.norms.values():
            for name, new in zip((norm.mean, norm.variance), norm.take_seen() or (), strict=False):
                self.set_constant(name, torch.lerp(held[name], new.to(held[name].dtype), norm.rate))

    def _freeze_when_due(self) -> None:
        settings, done = self.origin.settings, self.steps_done
        if settings.freeze_after is not None and done >= settings.freeze_after and not self.frozen:
            self.freeze()
        if settings.freeze_statistics_after is not None and done >= settings.freeze_statistics_after:
            self.freeze_statistics()

    @property
    def frozen(self) -> bool:
        """Whether the ranges of the activations, and learned scales, have stopped moving."""
        return all(quantizer.frozen for quantizer in self._all())

    def freeze(self) -> None:
        """Freezes ranges of activations and learned scales.

        The scales of other weights go on to follow them.
        """
        for quantizer in self._all():
            quantizer.freeze()

    @property
    def statistics_frozen(self) -> bool:
        """Whether running statistics of batch norms are frozen.

        So if none is trained.
        """
        return all(norm.frozen for norm in self.norms.values())

    def freeze_statistics(self) -> None:
        """Freezes running statistics of batch norms, used in training from now on."""
        for norm in self.norms.values():
            norm.frozen = True

    def statistics(self) -> list[Tensor]:
        """The running means and variances of the batch norms that are trained."""
        held = self.constants()
        return [held[name] for norm in self.norms.values() for name in (norm.mean, norm.variance)]

    def _all(self) -> Iterator[ActivationQuantizer | WeightQuantizer]:
        yield from self.activations.values()
        yield from self.weights.values()

    def parameter_groups(self, *, lr: float, weight_decay: float = 0.0) -> list[dict[str, Any]]:
        """Groups for an optimizer: weights, biases, learned ranges.

        The latter two without decay; biases with other vectors.
        """
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
        """Distance of the module's `outputs` to the float graph's; see `distill`."""
        with torch.no_grad():
            targets = self.teacher(*args, **kwargs)
        return distillation_loss(outputs, targets)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        for teacher in self._teacher:
            teacher._apply(fn, recurse)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def get_extra_state(self) -> dict[str, Any]:
        return {
            "steps_done": self.steps_done,
            "frozen": self.frozen,
            "statistics_frozen": self.statistics_frozen,
            "fingerprint": self.origin.fingerprint,
            "made_with": self._made_with(),
        }

    def _made_with(self) -> str:
        """What a state must have in common with the module, beside the model."""
        origin = self.origin
        chosen = origin.settings.model_dump(include={"weights", "activations", "batch_norm"})
        return json.dumps([origin.recipe.dump(), origin.target.name, chosen], sort_keys=True)

    def set_extra_state(self, state: dict[str, Any]) -> None:
        if state["fingerprint"] != self.origin.fingerprint:
            raise RecipeError(
                f"the state is of another model: its fingerprint is {state['fingerprint'][:12]}…, this model's "
                f"is {self.origin.fingerprint[:12]}…; load a state that was saved with this model"
            )
        if state["made_with"] != self._made_with():
            raise RecipeError(
                "the state is of a module with another recipe, target or kind of ranges and batch norms: it was made "
                f"with {state['made_with']}, this one with {self._made_with()}; prepare with the same ones"
            )
        self.steps_done = int(state["steps_done"])
        for quantizer in self._all():
            quantizer.frozen = bool(state["frozen"])
        for norm in self.norms.values():
            norm.frozen = bool(state["statistics_frozen"])


def _by_path(modules: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Keys made valid as module names; a shared module keeps its first key."""
    found: dict[str, nn.Module] = {}
    for name, module in modules.items():
        if any(module is other for other in found.values()):
            continue
        path = name.replace(".", "_") or "_"
        while path in found:
            path += "_"
        found[path] = module
    return found
