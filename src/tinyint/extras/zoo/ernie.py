"""ERNIE 1.0 as a classifier of texts, on `transformers`.

Sun et al. 2019, arXiv:1904.09223.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import ErnieConfig, ErnieForSequenceClassification
from transformers.utils import logging

from tinyint.errors import ModelError

__all__ = ["ErnieClassifier", "ernie_base"]

_MASKED = (
    -10_000.0
)  # added to the scores of padding, as in BERT; the float32 minimum would ruin any range over them


class ErnieClassifier(nn.Module):
    """Transformer encoder, and a linear layer on the first position's hidden state.

    `model`: of `transformers`, with attention as products and a softmax ("eager").
    """

    def __init__(self, model: ErnieForSequenceClassification) -> None:
        super().__init__()
        self.vocabulary = int(model.config.vocab_size)
        self.model = model

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Three (N, length) int64 -> (N, classes) logits."""
        padding = 1 - attention_mask[:, None, None, :].to(self.model.dtype)
        logits: Tensor = self.model(
            input_ids=input_ids, token_type_ids=token_type_ids, attention_mask=padding * _MASKED
        ).logits
        return logits


def ernie_base(
    *,
    num_classes: int = 2,
    weights: str | None = None,
    layers: int = 12,
    hidden: int = 768,
    heads: int = 12,
    vocabulary: int = 18_000,
    positions: int = 513,
    dropout: float = 0.1,
) -> ErnieClassifier:
    """ERNIE of the published base configuration, unless made smaller.

    Fresh weights are spread as its are, 0.02 at 768 hidden units, and wider where there are fewer. Small networks learn
    better without `dropout`.

    `weights` is the folder of a pretrained one, as `transformers` saves it, whose sizes are then taken; the linear
    layer is a new one unless it has as many classes. Raises ModelError for a folder that cannot be read.
    """
    if weights is not None:
        return ErnieClassifier(_pretrained(Path(weights), num_classes, dropout))
    config = ErnieConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        hidden_act="relu",
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=0.02 * (768 / hidden) ** 0.5,
        max_position_embeddings=positions,
        layer_norm_eps=1e-5,
    )
    config.num_labels = num_classes
    config._attn_implementation = "eager"
    return ErnieClassifier(ErnieForSequenceClassification(config))


def _pretrained(folder: Path, num_classes: int, dropout: float) -> Any:
    if not os.path.isfile(folder / "config.json"):
        raise ModelError(
            f"there is no pretrained network in '{folder}': expected config.json beside model.safetensors or "
            "pytorch_model.bin, as transformers' save_pretrained writes them"
        )
    transformers: Any = ErnieForSequenceClassification
    verbosity: Any = logging
    shown = verbosity.get_verbosity()
    verbosity.set_verbosity_error()  # it warns that the new layer is new
    try:
        model, report = transformers.from_pretrained(
            folder,
            num_labels=num_classes,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            ignore_mismatched_sizes=True,
            attn_implementation="eager",
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # also what its readers of files raise
        raise ModelError(f"cannot read the pretrained network in '{folder}': {error}") from error
    finally:
        verbosity.set_verbosity(shown)
    lacking = sorted(name for name in report["missing_keys"] if not name.startswith("classifier."))
    if lacking:
        raise ModelError(
            f"the pretrained network in '{folder}' is no ERNIE: it lacks {len(lacking)} weights ({lacking[0]}, …)"
        )
    return model
