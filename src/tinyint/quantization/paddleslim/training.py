"""Quantizers of a quant_aware config, as `qat.settings.QatSettings`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinyint.quantization.paddleslim.tables import TRAINED

__all__ = ["training_settings"]


def training_settings(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of QatSettings. `keys` are a config's, whose types of quantizers are known."""
    found: dict[str, Any] = {}
    kind = keys.get("activation_quantize_type")
    if _uses_pact(keys):
        found["activations"] = "pact"
    elif kind is not None:
        found["activations"] = TRAINED[kind]
        rate, window = keys.get("moving_rate"), keys.get("window_size")
        if kind == "moving_average_abs_max" and rate is not None:
            found["rate"] = rate
        if kind == "range_abs_max" and window is not None:
            found["window"] = window
    if keys.get("scale_trainable") is False:
        found["freeze_after"] = 0
    return found


def _uses_pact(keys: Mapping[str, Any]) -> bool:
    return keys.get("use_pact") is True or keys.get("activation_preprocess_type") == "PACT"
