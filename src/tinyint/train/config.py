"""Config of a training run: keys and their meaning."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tinyint.qat.settings import QatSettings
from tinyint.quantization.recipe import Recipe
from tinyint.quantization.recipe_source import ChangedRecipe, resolve_training

__all__ = [
    "Augmentation",
    "DataPart",
    "LossPart",
    "ModelPart",
    "OptimizerPart",
    "QuantizationPart",
    "SchedulePart",
    "TrainingConfig",
]

Count = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]
Interval = Annotated[int, Field(strict=True, ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Span = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]


def _as_source(value: Any) -> Any:
    return {"source": value} if isinstance(value, str) else value


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelPart(_Part):
    source: str = Field(
        min_length=1,
        description="a network of the zoo, package.module:function that returns an nn.Module, or an ONNX file",
    )
    arguments: dict[str, Any] = Field({}, description="keyword arguments of the network or function")
    input: tuple[Count, ...] | None = Field(
        None,
        description="shape of one sample without batch axis, such as [3, 224, 224] or [tokens]; not for ONNX files",
    )
    pretrained: str | None = Field(
        None,
        description="weights that the backbone, or else the network, starts from: a best_model/, an ONNX file or a "
        "state_dict saved by torch, of the same design",
    )


class Augmentation(_Part):
    flip: bool = Field(False, description="mirror half of the images from left to right")
    shift: int = Field(
        0, ge=0, description="classification: move images by up to so many pixels, the border repeated"
    )
    noise: float = Field(0.0, ge=0, description="standard deviation of the Gaussian noise added to the input")
    brightness: Share = Field(0.0, description="changes image files by up to this share of it")
    contrast: Share = Field(0.0, description="changes image files by up to this share of it")
    saturation: Share = Field(0.0, description="changes image files by up to this share of it")
    hue: float = Field(
        0.0, ge=0, le=0.5, description="turns the colours of image files by up to this share of their circle"
    )
    resized_crop: Span | None = Field(
        None,
        description="classification: show a part of image files, of a share of the area such as [0.08, 1]",
    )
    rotation: float = Field(
        0.0, ge=0, le=180, description="classification: turn image files by up to so many degrees"
    )
    crop: Share = Field(0.0, description="detection: share of the images that is cropped around an object")
    expand: float = Field(
        1.0,
        ge=1,
        description="detection: put half of the images in a canvas of up to so many times their sides",
    )
    scale: Span | None = Field(
        None,
        description="segmentation: scale by a factor such as from [0.5, 2], then crop or pad at a random place",
    )

    @model_validator(mode="after")
    def _rises(self) -> Self:
        for key, span in (("resized_crop", self.resized_crop), ("scale", self.scale)):
            if span is not None and span[0] > span[1]:
                raise ValueError(f"{key} must be [least, most], got {list(span)}")
        if self.resized_crop is not None and self.resized_crop[1] > 1:
            raise ValueError(f"resized_crop is a share of the area, at most 1, got {list(self.resized_crop)}")
        return self


class DataPart(_Part):
    train: str = Field(
        min_length=1,
        description="what `--data` takes: a folder, FOLDER:LIST, a COCO .json, a .tsv, .npz, package.module:function",
    )
    val: str | None = Field(None, description="the same, for the evaluation; without it none takes place")
    preprocessing: str | dict[str, Any] | None = Field(
        None, description="how images or texts become inputs: a YAML file, or its keys"
    )
    on_error: Literal["stop", "skip"] = Field(
        "stop",
        description="at a file that cannot be read: stop, or go on without it (in training, the next one stands in)",
    )
    augment: Augmentation = Field(Augmentation(), description="changes to the training samples")


class OptimizerPart(_Part):
    name: Literal["sgd", "adam", "adamw"] = Field(
        "sgd",
        description="stochastic gradient descent; Adam, where the decay is a part of the gradient; or AdamW",
    )
    learning_rate: float = Field(0.01, gt=0, description="at the peak; a tenth or less of it for QAT")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd; the first beta of adam and adamw")
    weight_decay: float = Field(1e-4, ge=0, description="of tensors with two axes or more")


class SchedulePart(_Part):
    name: Literal["cosine", "step", "milestones", "poly", "constant"] = Field(
        "cosine", description="how the learning rate falls"
    )
    warmup: Interval = Field(0, description="iterations over which it rises to the peak first")
    step: Interval = Field(0, description="with step: iterations between two falls")
    milestones: tuple[Count, ...] = Field(
        (),
        description="with milestones: the iterations, warm-up included, at which it falls, such as [10000]",
    )
    factor: float = Field(
        0.1, gt=0, lt=1, description="with step and milestones: what each fall multiplies it by"
    )
    power: float = Field(0.9, gt=0, description="with poly: of the share of the iterations that is left")
    end: float = Field(0.0, ge=0, description="with poly: the learning rate at the end")

    @model_validator(mode="after")
    def _has_steps(self) -> Self:
        if self.name == "step" and self.step == 0:
            raise ValueError(
                "`name: step` needs `step`, the iterations between two falls; for falls at given iterations, set "
                "`name: milestones` and `milestones: [10000]`"
            )
        if self.name == "milestones" and not self.milestones:
            raise ValueError(
                "`name: milestones` needs `milestones`, the iterations of the falls, such as [10000]"
            )
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"`milestones` must rise, got {list(self.milestones)}")
        return self

    def idle(self, iters: int) -> list[str]:
        """Settings without effect in a run of so many iterations, in sentences."""
        found = []
        users = {"milestones": ("milestones",), "step": ("step",), "power": ("poly",), "end": ("poly",)}
        for key, names in users.items():
            default = type(self).model_fields[key].default
            if self.name not in names and getattr(self, key) != default:
                found.append(
                    f"schedule.{key} has no effect with schedule.name={self.name}, only with {names[0]}"
                )
        late = [milestone for milestone in self.milestones if milestone >= iters]
        if self.name == "milestones" and late:
            found.append(f"the run ends after {iters} iterations, before the milestones {late}")
        return found


class LossPart(_Part):
    label_smoothing: Share = Field(0.0, description="of the cross entropy")
    ignore_label: int | None = Field(None, description="the label of what is not learned, such as 255")
    auxiliary: float = Field(
        0.4, ge=0, description="weight of the loss of each auxiliary output of a segmentation net"
    )
    anchor_iou: Share = Field(
        1.0,
        description="detection: an object is learned by each anchor whose shape overlaps its by more than this IoU",
    )
    teacher: bool = Field(
        False, description="learn from the outputs of the float model as well (QAT of an ONNX file)"
    )
    teacher_loss: Literal["relative", "kl"] = Field(
        "relative",
        description="power of the difference to the teacher's outputs over theirs, or the divergence of softmaxes",
    )
    teacher_share: Share = Field(1.0, description="of the teacher in the loss; with 1 no labels are needed")
    temperature: float = Field(1.0, gt=0, description="with kl: divides both outputs before the softmax")

    @property
    def needs_labels(self) -> bool:
        return not self.teacher or self.teacher_share < 1


class QuantizationPart(_Part):
    recipe: str | dict[str, Any] = Field(
        "default",
        description="a preset, a YAML file, or a recipe's keys; PaddleSlim's also say how ranges are trained",
    )
    set: tuple[str, ...] = Field(
        (), description="changes to the recipe, such as weights.granularity=per_tensor"
    )
    target: str | None = Field(None, description="what the int8 model is for; by default this machine")
    training: QatSettings = Field(QatSettings(), description="how ranges behave in training")

    @model_validator(mode="after")
    def _has_one_teacher(self) -> Self:
        if self.training.teacher:
            raise ValueError("the teacher is asked for by `loss.teacher: true`; remove training.teacher")
        return self

    def resolved(self) -> tuple[Recipe, QatSettings, list[str]]:
        """Recipe with its changes, range training, and notes.

        Raises RecipeError.
        """
        recipe, said, notes = resolve_training(ChangedRecipe(self.recipe, tuple(self.set)))
        return recipe, self.training.over(said), notes


class TrainingConfig(_Part):
    """Training run.

    `batch_size` is that of all devices together, so that their number changes no result.
    """

    model: Annotated[ModelPart, BeforeValidator(_as_source)] = Field(description="what is trained")
    data: DataPart = Field(description="what it is trained and measured on")
    optimizer: OptimizerPart = Field(OptimizerPart(), description="how weights follow gradients")
    schedule: SchedulePart = Field(SchedulePart(), description="the learning rate over the iterations")
    loss: LossPart = Field(LossPart(), description="what is minimized")
    quantization: QuantizationPart = Field(QuantizationPart(), description="of `tinyint qat` only")
    iters: Count = Field(1000, description="iterations: batches that the weights follow")
    epochs: Count | None = Field(
        None, description="in place of iters: how often each training sample is seen"
    )
    batch_size: Count = Field(32, description="samples in a batch, over all devices")
    save_dir: str = Field("output", min_length=1, description="directory of checkpoint and best_model/")
    workers: Interval = Field(
        0, description="processes that read data, per device; 0 reads in the training process"
    )
    save_interval: Interval = Field(500, description="iterations between checkpoints; 0: at the end only")
    keep_checkpoints: Interval = Field(
        0,
        description="how many of the last checkpoints stay beside checkpoint.pt, as checkpoint-ITERATION.pt",
    )
    log_interval: Count = Field(10, description="iterations between two lines of progress")
    eval_interval: Interval = Field(500, description="iterations between evaluations; 0: at the end only")
    seed: Interval = Field(0, description="of first weights, order of the data, augmentation and dropout")
    devices: Count = Field(1, description="GPUs, or processes where there is none")
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="kind of device")
    precision: Literal["32", "bf16-mixed", "16-mixed"] = Field(
        "32", description="32 bits, or mixed precision"
    )
    tensorboard: bool = Field(False, description="write curves to save_dir/tensorboard")

    def iterations(self, samples: int) -> int:
        """Iterations of a run on so many training samples.

        Epochs follow each other without a gap.
        """
        return self.iters if self.epochs is None else -(-self.epochs * samples // self.batch_size)

    @model_validator(mode="after")
    def _ends_once(self) -> Self:
        if self.epochs is not None and "iters" in self.model_fields_set:
            raise ValueError("`iters` and `epochs` both say when the run ends; remove one of them")
        return self

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.batch_size % self.devices:
            raise ValueError(f"batch_size {self.batch_size} is no multiple of the {self.devices} devices")
        return self
