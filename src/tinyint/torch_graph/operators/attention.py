"""Attention and RotaryEmbedding, by the ONNX operator specification.

Q, K, V and the outputs are (batch, heads, length, size), or all (batch, length, heads · size).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tinyint.torch_graph.operators.node import Function, Maker, Node

__all__ = ["OPERATORS"]


def _heads(x: Tensor, count: int) -> Tensor:
    return x if x.dim() == 4 else x.reshape(*x.shape[:-1], count, -1).transpose(1, 2)


@dataclass(frozen=True)
class _Mask:
    """Keys that a query may attend to.

    `causal`: no later ones; `left`, `right`: most positions before and after it, -1 for any.
    """

    causal: bool
    left: int
    right: int

    def bias(self, mask: Tensor | None, q: Tensor, keys: int, past: int, lengths: Tensor | None) -> Tensor:
        """Addend of the scores: the mask of the input, and -inf for hidden keys.

        It broadcasts to (batch, heads, queries, keys).
        """
        queries = q.shape[2]
        bias = q.new_zeros(queries, keys)
        if mask is not None:
            if mask.dtype == torch.bool:
                mask = _minus_infinity(~mask, q)
            bias = bias + functional.pad(mask, (0, keys - mask.shape[-1]), value=float("-inf"))
        row, column = torch.arange(queries, device=q.device)[:, None], torch.arange(keys, device=q.device)
        ahead = column - row - past
        if lengths is not None:
            ahead = ahead - (lengths - queries).reshape(-1, 1, 1, 1)
            bias = bias + _minus_infinity(column >= lengths.reshape(-1, 1, 1, 1), q)
        if self.causal:
            bias = bias + _minus_infinity(ahead > 0, q)
        if self.left >= 0:
            bias = bias + _minus_infinity(-ahead > self.left, q)
        if self.right >= 0:
            bias = bias + _minus_infinity(ahead > self.right, q)
        return bias


def _minus_infinity(where: Tensor, like: Tensor) -> Tensor:
    """-inf where `where` is true, else 0, in the type of `like`."""
    return torch.zeros(where.shape, dtype=like.dtype, device=like.device).masked_fill(where, float("-inf"))


def _attention(node: Node) -> Function:
    mask = _Mask(
        bool(node.integer("is_causal")),
        node.integer("left_window_size", -1),
        node.integer("right_window_size", -1),
    )
    scale = node.real("scale") if node.has("scale") else None
    cap, score_output = node.real("softcap"), node.integer("qk_matmul_output_mode")
    counts = (node.integer("q_num_heads"), node.integer("kv_num_heads"))
    precision = node.dtype("softmax_precision")

    def attention(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        attention_mask: Tensor | None = None,
        past_k: Tensor | None = None,
        past_v: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        flat = q.dim() == 3
        q, k, v = _heads(q, counts[0]), _heads(k, counts[1]), _heads(v, counts[1])
        before = 0 if past_k is None else past_k.shape[2]
        k = k if past_k is None else torch.cat([past_k, k], 2)
        v = v if past_v is None else torch.cat([past_v, v], 2)
        repeat = q.shape[1] // k.shape[1]
        keys, values = (x.repeat_interleave(repeat, 1) if repeat > 1 else x for x in (k, v))
        factor = math.sqrt(1 / math.sqrt(q.shape[3]) if scale is None else scale)
        scores = (q * factor) @ (keys * factor).transpose(-1, -2)
        outputs = [scores]
        scores = cap * torch.tanh(scores / cap) if cap else scores
        bias = mask.bias(attention_mask, q, keys.shape[2], before, lengths)
        biased = scores + bias
        blind = torch.isneginf(bias).all(-1, keepdim=True)  # the output of a query without keys is zero
        shares = torch.softmax(biased.masked_fill(blind, 0).to(precision or biased.dtype), -1)
        shares = shares.masked_fill(blind, 0).to(q.dtype)
        outputs += [scores, biased, shares]
        y = shares @ values
        y = y.transpose(1, 2).flatten(2) if flat else y
        return y, k, v, outputs[score_output]

    return attention


def _rotary(node: Node) -> Function:
    paired, part = bool(node.integer("interleaved")), node.integer("rotary_embedding_dim")
    heads = node.integer("num_heads")

    def rotary(x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor | None = None) -> Tensor:
        flat = x.dim() == 3
        x = _heads(x, heads)
        if positions is not None:
            cos, sin = cos[positions], sin[positions]
        cos, sin = cos[:, None], sin[:, None]
        width = part or x.shape[-1]
        turned, rest = x[..., :width], x[..., width:]
        a, b = (turned[..., ::2], turned[..., 1::2]) if paired else turned.chunk(2, -1)
        real, imaginary = cos * a - sin * b, sin * a + cos * b
        turned = (
            torch.stack([real, imaginary], -1).flatten(-2) if paired else torch.cat([real, imaginary], -1)
        )
        y = torch.cat([turned, rest], -1)
        return y.transpose(1, 2).flatten(2) if flat else y

    return rotary


OPERATORS: dict[str, Maker] = {"Attention": _attention, "RotaryEmbedding": _rotary}
