"""PaddleSlim's quantization configs, read as they are into a Recipe.

The keys are those of `quant_post_static`, `quant_post_dynamic`, `quant_aware` and the YAML of its automatic compression
(PaddleSlim 2.6, quant/quanter.py and auto_compression/strategy_config.py). Paddle's operators stand for the ONNX
operators that its exporter turns them into.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tinyint.errors import RecipeError, nearest
from tinyint.files.documents import DocumentError, read_document, shown
from tinyint.quantization.paddleslim.literal import is_python, read_literal
from tinyint.quantization.paddleslim.tables import (
    ACTIVATIONS,
    ALGORITHMS,
    GRANULARITY,
    HONOURED_IN_TRAINING,
    KNOWN_PREPROCESSING,
    NOT_HONOURED,
    OPERATORS,
    OTHER_SECTIONS,
    READ,
    SECTIONS,
    TENSORRT,
)
from tinyint.quantization.paddleslim.training import training_settings
from tinyint.quantization.recipe import Recipe, read_yaml

__all__ = ["recipe_from_paddleslim", "training_from_paddleslim"]


def recipe_from_paddleslim(config: Mapping[str, Any] | str | Path) -> tuple[Recipe, list[str]]:
    """Recipe of a PaddleSlim config, and a sentence for each unsupported key.

    `config` is the dict, a YAML file of it, the keys at its top or in a section such as `Quantization`, or a Python
    file that assigns it. An unknown key, operator or value is a RecipeError. The recipe serves many models
    (`unmatched: warn`), since PaddleSlim's default lists name operators and scopes that a model need not have.
    """
    reader = _read(config, training=False)
    return Recipe.parse(reader.recipe(), source=reader.source), reader.notes


def training_from_paddleslim(
    config: Mapping[str, Any] | str | Path,
) -> tuple[Recipe, dict[str, Any], list[str]]:
    """As `recipe_from_paddleslim`, for training with quantization, with the keys of `QatSettings` that it sets."""
    reader = _read(config, training=True)
    recipe = Recipe.parse(reader.recipe(), source=reader.source)
    return recipe, training_settings(reader.keys), reader.notes


def _read(config: Mapping[str, Any] | str | Path, *, training: bool) -> _Reader:
    if isinstance(config, Mapping):
        return _Reader("PaddleSlim config", config, training)
    source = str(config)
    if is_python(config):
        return _Reader(source, read_literal(config), training)
    try:
        content = read_document(config)
    except DocumentError as error:
        raise RecipeError(f"{source}: cannot be read: {error.problem}") from None
    return _Reader(source, read_yaml(content, source), training)


class _Reader:
    """One config, read key by key; `notes` collects what is lost in quantization, or in `training`."""

    def __init__(self, source: str, config: Mapping[str, Any], training: bool) -> None:
        self.source = source
        self.training = training
        self.notes: list[str] = []
        self.keys = self._flat(config)
        known = (*READ, *NOT_HONOURED)
        for key in self.keys:
            if key not in known:
                raise RecipeError(f"{source}: unknown key {shown(key)}; {nearest(str(key), known)}")

    def _flat(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The keys of the quantization sections, or of the config itself if it has no sections."""
        if not any(section in config for section in (*SECTIONS, *OTHER_SECTIONS)):
            return dict(config)
        flat: dict[str, Any] = {}
        detector = "QAT" in config  # PaddleDetection's, beside which any of its own keys may stand
        for section, content in config.items():
            if section in SECTIONS:
                if not isinstance(content, Mapping | None):
                    raise self._wrong(section, content, "a mapping of keys")
                held = content or {}
                if "quant_config" in held:
                    held = held["quant_config"]
                    if not isinstance(held, Mapping):
                        raise self._wrong(f"{section}.quant_config", held, "a mapping of keys")
                flat |= held
            elif detector or section in OTHER_SECTIONS:
                self.notes.append(f"Section `{section}` is not read: it is not about quantization.")
            else:
                known = (*SECTIONS, *OTHER_SECTIONS)
                raise RecipeError(
                    f"{self.source}: unknown section {shown(section)}; {nearest(str(section), known)}"
                )
        if not any(section in config for section in SECTIONS):
            raise RecipeError(f"{self.source}: expected a section `Quantization` or `QuantPost`, found none")
        return flat

    def recipe(self) -> dict[str, Any]:
        """The keys of the Recipe."""
        for key, why in NOT_HONOURED.items():
            value = self.keys.get(key)
            if value not in (None, False) and not (self.training and key in HONOURED_IN_TRAINING):
                self._note(key, why)
        weights = self._weights()
        weight_only = self._flag("quant_weight_only") or "generate_test_model" in self.keys
        recipe: dict[str, Any] = {
            "name": "paddleslim",
            "unmatched": "warn",
            "weights": weights,
        } | self._nodes()
        self._formats()
        if weight_only:
            for key in ("algo", "hist_percent", "activation_quantize_type", "batch_nums", "batch_size"):
                if key in self.keys:
                    self._note(key, "activations stay in float")
            bits = self._bits("weight_bits", 16)
            if bits in (8, 16):
                weights["bits"] = bits
            else:
                self._note("weight_bits", "weights have 8 or 16 bits")
            return recipe | {"method": "weight_only"}
        # 8 bits are left to the target, whose weights have them on every processor
        for key in ("weight_bits", "activation_bits"):
            if self._bits(key, 16) != 8:
                self._note(key, "static quantization has 8 bits")
        return recipe | self._calibration() | self._samples()

    def _weights(self) -> dict[str, Any]:
        kind = self._choice("weight_quantize_type", GRANULARITY)
        if kind in ("range_abs_max", "moving_average_abs_max"):
            self._note("weight_quantize_type", "weights stand still, so that their largest value is taken")
        return {"granularity": GRANULARITY[kind]} if kind else {}

    def _nodes(self) -> dict[str, Any]:
        """Which operators and nodes: op_types, rules, skip."""
        patterns = self._names("not_quant_pattern")
        # Paddle looks for the pattern anywhere in the name scope of an operator
        nodes: dict[str, Any] = {"skip": [f"*{glob.escape(pattern)}*" for pattern in patterns]}
        lists = ("quantize_op_types", "quantizable_op_type", "quantizable_layer_type")
        names = [name for key in lists for name in self._names(key)]
        for name in names:
            if name not in OPERATORS:
                raise RecipeError(
                    f"{self.source}: unknown operator {shown(name)}; {nearest(name, OPERATORS)}"
                )
        if self._flag("for_tensorrt"):
            self._note(
                "for_tensorrt", "the target is chosen apart (tensorrt); its list of operators is taken"
            )
            names = list(TENSORRT)
        elif self._flag("is_full_quantize"):
            return nodes | {"op_types": "all"}
        if names:
            nodes |= _op_types(names)
        return nodes

    def _calibration(self) -> dict[str, Any]:
        algo = self._choice("algo", ALGORITHMS)
        kind = self._choice("activation_quantize_type", ACTIVATIONS)
        calibration: dict[str, Any] = {}
        if kind:
            calibration = {"calibration": ACTIVATIONS[kind], "activations": {"symmetric": True}}
        if algo == "ptf":
            self._note("algo", "power-of-two factors need kernels of their own")
        elif algo:
            calibration["calibration"] = ALGORITHMS[algo]
        percent = self.keys.get("hist_percent")
        if percent is not None and algo == "hist":
            if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0.5 < percent <= 1:
                raise self._wrong("hist_percent", percent, "a share above 0.5, up to 1")
            calibration["percentile"] = round(100.0 * percent, 10)
        elif percent is not None:
            self._note("hist_percent", "it goes with `algo: hist`")
        return calibration

    def _formats(self) -> None:
        """Notes what differs from the only value that is honoured."""
        honoured = {
            "dtype": ("int8", "the target chooses between int8 and uint8"),
            "moving_rate": (0.9, "the rate is 0.9"),
            "round_type": ("round", "values are rounded to nearest, ties to even"),
            "onnx_format": (True, "the result is always ONNX"),
        }
        if self.training:
            del honoured["moving_rate"]
            self._check_training()
        for key, (value, why) in honoured.items():
            if self.keys.get(key, value) not in (value, None):
                self._note(key, why)

    def _check_training(self) -> None:
        """Refuses what training cannot take."""
        for key in ("use_pact", "scale_trainable"):
            self._flag(key)
        self._choice("activation_preprocess_type", KNOWN_PREPROCESSING)
        self._count("window_size")
        rate = self.keys.get("moving_rate")
        if rate is not None and (
            isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1
        ):
            raise self._wrong("moving_rate", rate, "a number from 0 to below 1")

    def _samples(self) -> dict[str, int | str]:
        batches, size = (self._count(key) for key in ("batch_nums", "batch_size"))
        if batches is None:
            if size is not None:
                self._note("batch_size", "it changes no result; --batch-size takes several samples at once")
            return {} if self.training else {"samples": "all"}
        if size is None:
            self._note("batch_nums", "without `batch_size` it is taken as a number of samples")
        return {"samples": batches * (size or 1)}

    def _bits(self, key: str, most: int) -> int:
        value = self.keys.get(key)
        if value is None:
            return 8
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise self._wrong(key, value, f"a number of bits from 1 to {most}")
        return value

    def _count(self, key: str) -> int | None:
        value = self.keys.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise self._wrong(key, value, "a number above 0")
        return value

    def _flag(self, key: str) -> bool:
        value = self.keys.get(key)
        if not isinstance(value, bool | None):
            raise self._wrong(key, value, "true or false")
        return bool(value)

    def _choice(self, key: str, allowed: Mapping[str, str | None]) -> str | None:
        value = self.keys.get(key)
        if value is not None and (not isinstance(value, str) or value not in allowed):
            raise self._wrong(key, value, ", ".join(allowed))
        return value

    def _names(self, key: str) -> list[str]:
        value = self.keys.get(key)
        names = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else []
        if (value is not None and not names and value != []) or not all(
            isinstance(n, str) and n for n in names
        ):
            raise self._wrong(key, value, "a name or a list of names")
        return names

    def _wrong(self, key: str, value: object, allowed: str) -> RecipeError:
        return RecipeError(f"{self.source}: {key}: got {shown(value)}, expected {allowed}")

    def _note(self, key: str, why: str) -> None:
        self.notes.append(f"`{key}: {shown(self.keys[key])}` is not honoured: {why}.")


def _op_types(names: Iterable[str]) -> dict[str, Any]:
    """`op_types`, and a rule for Paddle's conv2d without depthwise_conv2d: ONNX has one Conv for both."""
    types = list(dict.fromkeys(op_type for name in names for op_type in OPERATORS[name]))
    if "Conv" not in types:
        return {"op_types": types}
    if "DepthwiseConv" in types:
        types.remove("DepthwiseConv")
        return {"op_types": types}
    return {"op_types": types, "rules": [{"op_type": "DepthwiseConv", "float": True}]}
