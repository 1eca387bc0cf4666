"""The recipe itself.

Keys are checked by name and value, and an option that would have no effect is refused. Every error is a `RecipeError`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from tinyint.errors import RecipeError, nearest
from tinyint.files.documents import DocumentError, read_document
from tinyint.quantization.ranges import Algorithm, RangeMethod
from tinyint.quantization.recipe.steps import require_step
from tinyint.quantization.recipe.text import explain, read_yaml, setting_value

Method = Literal["static", "dynamic", "weight_only"]
Part = TypeVar("Part", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Activations(_Part):
    """`symmetric`: zero-point fixed; None leaves the choice to the target."""

    symmetric: Annotated[bool, Field(strict=True)] | None = None
    bits: Literal[8] = 8


class Weights(_Part):
    """`bits`: None leaves them to the target; 16 goes with the method weight_only."""

    bits: Literal[7, 8, 16] | None = None
    granularity: Literal["per_channel", "per_tensor"] = "per_channel"
    range: Literal["absmax", "mse"] = "absmax"


class Rule(_Part):
    """Settings for the nodes that match every given selector.

    Selectors: `op_type`; `name`, a glob, or a regular expression between slashes; `scope`, the first components of a
    node name, which `/` separates. Then either `float: true`, or formats, of which the keys that are given override
    the recipe's.
    """

    op_type: Annotated[str, Field(min_length=1)] | None = None
    name: Annotated[str, Field(min_length=1)] | None = None
    scope: Annotated[str, Field(min_length=1)] | None = None
    float: Annotated[bool, Field(strict=True)] = False
    activations: Activations | None = None
    weights: Weights | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.op_type is self.name is self.scope is None:
            raise ValueError("a rule needs a selector: op_type, name or scope")
        formats = [part for part in (self.activations, self.weights) if part and part.model_fields_set]
        if self.float and formats:
            raise ValueError(
                "a rule keeps its nodes in float, or sets their activations or weights, not both"
            )
        if not self.float and not formats:
            raise ValueError("a rule without effect: give it `float: true`, activations or weights")
        check_pattern(self.name)
        return self


def check_pattern(pattern: str | None) -> None:
    """Raises ValueError for a /regular expression/ that does not compile."""
    if pattern and is_regex(pattern):
        try:
            re.compile(pattern[1:-1])
            compiled(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{pattern} is not a regular expression: {error}") from None


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """/Regular expression/ for anywhere in a name, numbers whole: 1 is not in 10."""
    flags, inner = re.match(r"((?:\(\?[aiLmsux]+\))?)(.*)", pattern[1:-1], re.DOTALL).groups()  # type: ignore[union-attr]
    return re.compile(rf"{flags}(?<![0-9](?=[0-9]))(?:{inner})(?!(?<=[0-9])[0-9])")


def is_regex(pattern: str) -> bool:
    return len(pattern) > 2 and pattern[0] == pattern[-1] == "/"


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_op_types(value: Any) -> Any:
    if value in ("default", "all"):
        return value
    value = _as_list(value)
    if not isinstance(value, list | tuple) or not value or not all(isinstance(v, str) and v for v in value):
        raise ValueError("expected 'default', 'all' or a list of operator types such as [Conv, MatMul]")
    return tuple(value)


def _as_samples(value: Any) -> Any:
    if value != "all" and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError("expected a whole number from 1, or 'all'")
    return value


def _as_folding(value: Any) -> Any:
    if value != "resize" and not isinstance(value, bool):
        raise ValueError("expected true, false or 'resize'")
    return value


class Recipe(_Part):
    """Recipe for the quantization of a model.

    * `op_types`: "default" is what the target is best at, "all" is every operator that it can quantize
    * `skip`: what stays in float: node names (a glob, or a /regular expression/), operator types, or scopes
    * `rules`: in order, the first that matches a node holds for it; `skip` comes before them
    * `steps`: repairs by name, each in the place where it belongs, whatever their order here
    * `fold_preprocessing`: the declared preprocessing becomes a part of the model, which then takes pixels; with
      "resize", resize and crop as well, so that it takes images of any size
    * `unmatched`: whether a rule, skip or operator type that matches nothing in the model is an error; with "warn",
      for a recipe that serves many models, names draw a warning and operator types are passed over
    * `percentile`: with `calibration: percentile`; `norm`: the p of L_p with `calibration: mse`
    * `samples`: of the calibration data, or "all" of them; these four go with the method static alone
    """

    name: Annotated[str, Field(min_length=1)] = "custom"
    method: Method = "static"
    calibration: Algorithm = "mse"
    percentile: Annotated[float, Field(strict=True, gt=50, le=100)] = 99.99
    norm: Annotated[float, Field(strict=True, ge=1, le=16)] = 2.0
    samples: Annotated[int | Literal["all"], BeforeValidator(_as_samples)] = 128
    activations: Activations = Activations()
    weights: Weights = Weights()
    op_types: Annotated[tuple[str, ...] | Literal["default", "all"], BeforeValidator(_as_op_types)] = (
        "default"
    )
    skip: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_as_list)] = ()
    rules: tuple[Rule, ...] = ()
    steps: Annotated[tuple[Annotated[str, AfterValidator(require_step)], ...], BeforeValidator(_as_list)] = ()
    fold_preprocessing: Annotated[bool | Literal["resize"], BeforeValidator(_as_folding)] = False
    unmatched: Literal["error", "warn"] = "error"

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for key, why in without_effect(self.method, self.calibration).items():
            if key in self.model_fields_set:
                raise ValueError(f"`{key}` has no effect with {why}; remove it")
        for part in (self.weights, *(rule.weights for rule in self.rules if rule.weights)):
            if part.bits == 16 and self.method != "weight_only":
                raise ValueError(f"`weights.bits` of 16 needs `method: weight_only`, not {self.method}")
        if self.method != "static" and any(rule.activations for rule in self.rules):
            raise ValueError(f"a rule sets activations, which has no effect with method {self.method}")
        for pattern in self.skip:
            check_pattern(pattern)
        if len(set(self.steps)) < len(self.steps):
            raise ValueError("`steps` names a step twice")
        if "gptq" in self.steps and self.fold_preprocessing:
            raise ValueError(
                "`steps: [gptq]` rounds by what filters multiply in calibration, and `fold_preprocessing` gives the "
                "first of them pixels after it; leave one of them out"
            )
        return self

    # after `_is_consistent`, so as to enclose it
    @model_validator(mode="wrap")
    @classmethod
    def _clear(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            raise RecipeError(f"recipe: {explain(error, _KNOWN)}") from None

    @property
    def limit(self) -> int | None:
        """Largest number of calibration samples; None: all."""
        return None if self.samples == "all" else self.samples

    @property
    def range_method(self) -> RangeMethod:
        """Range method of the activations."""
        return RangeMethod(algorithm=self.calibration, percentile=self.percentile, norm=self.norm)

    def activations_for(self, rule: Rule | None) -> Activations:
        """Activations of the recipe, overridden by the rule's keys."""
        return _override(self.activations, rule.activations if rule else None)

    def weights_for(self, rule: Rule | None) -> Weights:
        """Weights of the recipe, overridden by the rule's keys."""
        return _override(self.weights, rule.weights if rule else None)

    @staticmethod
    def presets() -> list[str]:
        """The names of the recipes that come with the package."""
        folder = resources.files("tinyint.quantization") / "recipes"
        return sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))

    @classmethod
    def load(cls, name_or_path: str | Path) -> Self:
        """Recipe from a preset's name or a YAML file.

        A file without `name` is named after itself.
        """
        text = str(name_or_path)
        if text in cls.presets():
            content = (resources.files("tinyint.quantization") / "recipes" / f"{text}.yaml").read_bytes()
            return cls.parse(read_yaml(content, f"preset {text}"), source=f"preset {text}")
        path = Path(name_or_path)
        looks_like_file = path.suffix in (".yaml", ".yml", ".json") or len(path.parts) > 1
        if not looks_like_file and not os.path.isfile(path):
            raise RecipeError(
                f"recipe {text!r} is neither a preset nor a file: {nearest(text, cls.presets())}"
            )
        try:
            content = read_document(path)
        except DocumentError as error:
            raise RecipeError(f"recipe {text}: cannot be read: {error.problem}") from None
        return cls.parse({"name": path.stem} | dict(read_yaml(content, text)), source=text)

    @classmethod
    def parse(cls, mapping: Mapping[str, Any], *, source: str = "recipe") -> Self:
        """A recipe from its keys; `source` opens the message of an error."""
        try:
            return cls.model_validate(dict(mapping))
        except RecipeError as error:
            raise RecipeError(f"{source}: {str(error).removeprefix('recipe: ')}") from None

    def dump(self) -> str:
        """YAML that `parse` turns into an equal recipe.

        Every key that has an effect is in it.
        """
        return yaml.safe_dump(self._mapping(), sort_keys=False)

    def _mapping(self) -> dict[str, Any]:
        mapping = self.model_dump(mode="json", exclude_none=True)
        mapping["rules"] = [
            r.model_dump(mode="json", exclude_unset=True, exclude_none=True) for r in self.rules
        ]
        idle = without_effect(self.method, self.calibration)
        return {key: value for key, value in mapping.items() if key not in idle and value != []}

    def with_rules(self, rules: Sequence[Rule]) -> Self:
        """Recipe with these rules before its own; itself for none."""
        return self.model_copy(update={"rules": (*rules, *self.rules)}) if rules else self

    def with_settings(self, settings: Iterable[str]) -> Self:
        """The recipe with `KEY=VALUE` settings applied, e.g. "weights.granularity=per_tensor"; VALUE is YAML.

        What the recipe says itself and a setting makes pointless (a percentile, after calibration=kl) is dropped.
        """
        # what has a default stays unsaid, so that it is known what the user asked for
        mapping = {key: value for key, value in self._mapping().items() if key in self.model_fields_set}
        given = set()
        for setting in settings:
            key, equals, text = setting.partition("=")
            key = key.strip()
            if not equals:
                raise RecipeError(f"setting {setting!r}: expected KEY=VALUE")
            if key not in _SETTINGS:
                raise RecipeError(f"setting {setting!r}: unknown key {key!r}; {nearest(key, _SETTINGS)}")
            outer, _, inner = key.partition(".")
            value = setting_value(setting, text, is_list=key in ("skip", "op_types", "steps"))
            held = mapping.get(outer)
            whole = held if isinstance(held, dict) else {}
            mapping[outer] = {**whole, inner: value} if inner else value
            given.add(outer)
        for key in without_effect(mapping.get("method"), mapping.get("calibration")):
            if key not in given:
                mapping.pop(key, None)
        return type(self).parse(mapping, source="settings")


def without_effect(method: object, calibration: object) -> dict[str, str]:
    """The keys that do nothing under this method and calibration, each with the reason."""
    if method in ("dynamic", "weight_only"):
        why = f"method {method}, which needs no calibration"
        return dict.fromkeys(("calibration", "percentile", "norm", "samples", "activations"), why)
    needs = {"percentile": "percentile", "norm": "mse"}
    return {
        key: f"calibration {calibration}, only with {value}"
        for key, value in needs.items()
        if calibration != value
    }


def _override(base: Part, over: Part | None) -> Part:
    if over is None:
        return base
    return base.model_copy(update={key: getattr(over, key) for key in over.model_fields_set})


# What a key may be called, by the part of the recipe that holds it.
_KNOWN = {
    "": tuple(Recipe.model_fields),
    "activations": tuple(Activations.model_fields),
    "weights": tuple(Weights.model_fields),
    "rules": tuple(Rule.model_fields),
}
_SETTINGS = [
    *_KNOWN[""],
    *(f"{part}.{key}" for part in ("activations", "weights") for key in _KNOWN[part]),
]
