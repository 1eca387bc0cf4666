"""Settings of quantization-aware training, beyond the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from tinyint.errors import RecipeError
from tinyint.quantization.recipe.text import explain

__all__ = ["ActivationRanges", "BatchNorms", "QatSettings", "WeightRanges"]

ActivationRanges = Literal[
    "moving_average", "moving_average_absmax", "absmax", "range_absmax", "lsq", "lsq+", "pact"
]
WeightRanges = Literal["absmax", "lsq"]
BatchNorms = Literal["folded", "trained"]


class QatSettings(BaseModel):
    """Behaviour of ranges and batch norms in training.

    Ranges start from the calibrated ones.

    * `weights`: "absmax" follows the weights, step by step; "lsq" learns the scale
    * `activations`: followed by observation: "moving_average" (of the smallest and the largest value of each batch),
      "moving_average_absmax", "absmax" (of all batches), "range_absmax" (of the last `window` batches); or learned:
      "lsq" (the scale), "lsq+" (scale and zero-point), "pact" (the ends of the range)
    * `rate`: of the moving averages: rate · old + (1 - rate) · new
    * `freeze_after`: steps (forward passes in training mode) after which no range moves any more, followed or learned;
      None: never; 0: the calibrated ranges of the activations stay
    * `freeze_oscillating`: weights whose code flips back and forth more often than this share of the steps are held at
      their mean code; None: never
    * `batch_norm`: "folded" into the operators before them at the start; "trained", by the statistics of each batch,
      with the weights quantized as they are once it is folded
    * `freeze_statistics_after`: with trained batch norms, steps after which their running statistics stay, and
      normalize in training too; None: never; 0: those of the float model stay
    * `reestimation_batches`: with trained batch norms, from how many batches `reestimate` takes their statistics anew
    * `teacher`: keeps the float graph beside the quantized one, for `QatModule.distillation_loss`
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: WeightRanges = "absmax"
    activations: ActivationRanges = "moving_average"
    rate: Annotated[float, Field(ge=0, lt=1)] = 0.9
    window: Annotated[int, Field(strict=True, ge=1)] = 64
    freeze_after: Annotated[int, Field(strict=True, ge=0)] | None = None
    freeze_oscillating: Annotated[float, Field(gt=0, lt=1)] | None = None
    batch_norm: BatchNorms = "folded"
    freeze_statistics_after: Annotated[int, Field(strict=True, ge=0)] | None = None
    reestimation_batches: Annotated[int, Field(strict=True, ge=1)] = 50
    teacher: Annotated[bool, Field(strict=True)] = False

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        needs = {"rate": ("moving_average", "moving_average_absmax"), "window": ("range_absmax",)}
        for key, values in needs.items():
            if key in self.model_fields_set and self.activations not in values:
                raise ValueError(f"`{key}` has no effect with `activations: {self.activations}`; remove it")
        for key in ("freeze_statistics_after", "reestimation_batches"):
            if key in self.model_fields_set and self.batch_norm == "folded":
                raise ValueError(f"`{key}` has no effect with `batch_norm: folded`; remove it")
        return self

    def over(self, others: Mapping[str, Any]) -> Self:
        """These settings where given, else the others (keys of QatSettings)."""
        given = self.model_dump(include=self.model_fields_set)
        idle = ("rate", "window") if "activations" in given else ()
        return type(self)(**{key: value for key, value in others.items() if key not in idle} | given)

    # after `_is_consistent`, so as to enclose it
    @model_validator(mode="wrap")
    @classmethod
    def _clear(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            known = {"": tuple(cls.model_fields), "activations": (), "weights": (), "batch_norm": ()}
            raise RecipeError(f"training: {explain(error, known)}") from None
